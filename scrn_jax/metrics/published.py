"""Table 1 of the SCRN paper: DeepFashion at 256x176, as published."""

TABLE_1: dict[str, dict[str, float]] = {
    "PATN": {"ssim": 0.7069, "fid": 17.1699, "psnr": 15.5684, "lpips_alex": 0.2861},
    "ADGAN": {"ssim": 0.7459, "fid": 12.2656, "psnr": 16.7704, "lpips_alex": 0.2255},
    "PINet": {"ssim": 0.7415, "fid": 11.4476, "psnr": 16.9132, "lpips_alex": 0.2167},
    "PoNA": {"ssim": 0.7487, "fid": 14.7148, "psnr": 16.7831, "lpips_alex": 0.2504},
    "DiOr": {"ssim": 0.7534, "fid": 11.6465, "psnr": 17.2553, "lpips_alex": 0.2206},
    "PISE": {"ssim": 0.7417, "fid": 11.0102, "psnr": 16.9081, "lpips_alex": 0.2078},
    "SCRN": {"ssim": 0.7564, "fid": 11.0900, "psnr": 17.3098, "lpips_alex": 0.1873},
}
