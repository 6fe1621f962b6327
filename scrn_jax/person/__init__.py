"""What a person is: joints, regions, their file formats and their pictures."""
