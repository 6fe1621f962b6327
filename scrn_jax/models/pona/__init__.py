"""PoNA (Li et al., IEEE TIP 2020): pose-guided non-local attention, after PATN's design."""
