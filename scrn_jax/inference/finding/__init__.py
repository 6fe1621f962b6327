"""What is found in a photo: the person's joints, mask and regions, and the frame around them."""
