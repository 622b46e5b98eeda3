//! How it looks.

pub(super) const STYLE: &str = "\
<style>
text { font: 11px system-ui, 'DejaVu Sans', sans-serif; fill: #222; }
.paper { fill: #fff; }
.name { font-weight: 600; font-size: 13px; text-anchor: middle; }
.time { font-family: ui-monospace, 'DejaVu Sans Mono', monospace; fill: #777; text-anchor: end; }
.lane { stroke: #bbb; }
.gap { stroke: #999; stroke-dasharray: 1 5; stroke-linecap: round; stroke-width: 2; fill: none; }
.arrow { fill: none; stroke-width: 1.4; }
.arrow.udp { stroke: #0b66c3; } .head.udp { fill: #0b66c3; }
.arrow.tcp { stroke: #7a3db8; } .head.tcp { fill: #7a3db8; }
.arrow.control { stroke: #888; stroke-width: 1; } .head.control { fill: #888; }
.arrow.lost { stroke: #c22; stroke-dasharray: 5 3; }
.arrow.flying { stroke-dasharray: 2 3; }
.cross { stroke: #c22; stroke-width: 2; fill: none; }
.label, .note { paint-order: stroke; stroke: #fff; stroke-width: 4px; stroke-linejoin: round; }
.label { text-anchor: middle; }
.label.control { fill: #777; }
.note { fill: #7a5200; }
.note-mark { fill: #b87a00; }
.more { font-style: italic; }
@media (prefers-color-scheme: dark) {
  text { fill: #ddd; }
  .paper { fill: #16181c; }
  .time, .label.control { fill: #999; }
  .lane { stroke: #484d55; }
  .gap { stroke: #777; }
  .arrow.udp { stroke: #6db3f8; } .head.udp { fill: #6db3f8; }
  .arrow.tcp { stroke: #c39bf0; } .head.tcp { fill: #c39bf0; }
  .arrow.lost, .cross { stroke: #ff6b6b; }
  .label, .note { stroke: #16181c; }
  .note { fill: #e8bd6a; }
  .note-mark { fill: #e0a640; }
}
</style>
";
