"""How good a picture is: SSIM, PSNR, LPIPS, FID and face L1, batched and jittable, and the named protocols."""
