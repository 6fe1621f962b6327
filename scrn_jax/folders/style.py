"""How the page of a report looks, on a light and on a dark screen and on paper."""

CSS = """
:root { --ink: #1d2430; --quiet: #667085; --line: #e3e6eb; --paper: #fff; --panel: #f7f8fa; --bar: #4c78a8;
  --mark: #d4622a; color-scheme: light dark; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ef; --quiet: #98a2b3; --line: #343b47; --paper: #14181f;
  --panel: #1c222b; --bar: #6fa0d6; --mark: #f08c54; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.55 system-ui, sans-serif; }
main { max-width: 1120px; margin: 0 auto; padding: 2.5rem 1.25rem 4rem; }
h1 { font-size: 1.8rem; line-height: 1.2; margin: 0 0 .3rem; }
h2 { font-size: 1.25rem; margin: 2.6rem 0 .8rem; padding-bottom: .3rem; border-bottom: 1px solid var(--line); }
h3 { font-size: 1rem; margin: 1.4rem 0 .5rem; }
h3::first-letter { text-transform: uppercase; }
p { margin: .3rem 0 .8rem; }
.quiet, small, figcaption .quiet { color: var(--quiet); font-weight: normal; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; min-width: 50%; }
th, td { padding: .5rem .9rem; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap; }
th:first-child { text-align: left; }
thead th { font-weight: 600; border-bottom: 2px solid var(--ink); }
td.best { font-weight: 700; }
tr.published { color: var(--quiet); }
tr.published th { font-weight: 500; }
ul { padding-left: 1.2rem; overflow-wrap: anywhere; }
.notes { background: var(--panel); border-left: 3px solid var(--mark); padding: .2rem .8rem; margin-top: 1rem; }
.grid { display: grid; grid-template-columns: repeat(auto-fill, minmax(240px, 1fr)); gap: 1rem; }
figure { margin: 0; background: var(--panel); border: 1px solid var(--line); border-radius: 8px; padding: .7rem; }
figcaption { font-size: .82rem; overflow-wrap: anywhere; }
.pair { display: flex; gap: 4px; margin-bottom: .5rem; }
.pair img { width: 50%; min-width: 0; border-radius: 4px; }
svg { width: 100%; height: auto; display: block; }
svg rect { fill: var(--bar); }
svg .axis { stroke: var(--quiet); stroke-width: 1; }
svg .median { stroke: var(--mark); stroke-width: 1.5; }
svg text { fill: var(--quiet); font-size: 12px; }
@media print { section { break-inside: avoid-page; } }
"""
