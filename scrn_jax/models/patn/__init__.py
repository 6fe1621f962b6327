"""PATN, the Pose Attentional Transfer Network."""
