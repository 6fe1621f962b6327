"""A histogram as inline SVG, in the colours of the page that it stands in."""

from html import escape

import numpy as np

BINS = 30
_WIDTH, _HEIGHT, _FOOT, _MARGIN = 300, 90, 18, 4


def svg(values: np.ndarray, low: float, high: float, title: str, decimals: int) -> str:
    """The distribution of finite `values` between `low` and `high`, the ends of the axis, with the median marked.

    Returns an <svg> element whose bars carry their counts as tooltips.
    """
    values = values[np.isfinite(values)]
    if high <= low:
        low, high = low - 0.5, high + 0.5
    counts, edges = np.histogram(values, BINS, (low, high))
    bars = "".join(
        _bar(i, count, counts.max(), f"{edges[i]:.{decimals}f} to {edges[i + 1]:.{decimals}f}: {count}")
        for i, count in enumerate(counts)
        if count
    )
    foot = _HEIGHT + _FOOT - 4
    median = float(np.median(values)) if len(values) else (low + high) / 2
    at = _MARGIN + (median - low) / (high - low) * _WIDTH
    return (
        f'<svg viewBox="0 0 {_WIDTH + 2 * _MARGIN} {_HEIGHT + _FOOT}" role="img" aria-label="{escape(title)}">{bars}'
        f'<line class="axis" x1="{_MARGIN}" y1="{_HEIGHT}" x2="{_MARGIN + _WIDTH}" y2="{_HEIGHT}"/>'
        f'<line class="median" x1="{at:.1f}" y1="0" x2="{at:.1f}" y2="{_HEIGHT}">'
        f"<title>median {median:.{decimals}f}</title></line>"
        f'<text x="{_MARGIN}" y="{foot}">{low:.{decimals}f}</text>'
        f'<text x="{_MARGIN + _WIDTH}" y="{foot}" text-anchor="end">{high:.{decimals}f}</text></svg>'
    )


def _bar(i: int, count: int, most: int, tooltip: str) -> str:
    width = _WIDTH / BINS
    height = (_HEIGHT - 4) * count / most
    x, y = _MARGIN + i * width, _HEIGHT - height
    box = f'x="{x:.1f}" y="{y:.1f}" width="{width - 1:.1f}" height="{height:.1f}"'
    return f"<rect {box}><title>{tooltip}</title></rect>"
