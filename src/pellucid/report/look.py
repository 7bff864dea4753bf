"""How a report looks: one style sheet, on screen and paper, light and dark, wide and narrow."""

from __future__ import annotations

from pellucid.views.frame import DARK, FONTS, LIGHT, properties

SHEET = f"""
:root{{color-scheme:light dark;{properties(LIGHT)};--page:#f6f7f9}}
@media (prefers-color-scheme:dark){{:root{{{properties(DARK)};--page:#0d1014}}}}
@media print{{:root{{{properties(LIGHT)};--page:#fff;color-scheme:light}}}}
*{{box-sizing:border-box}}
html{{-webkit-text-size-adjust:100%}}
body{{margin:0;background:var(--page);color:var(--ink);font:16px/1.6 {FONTS}}}
main,header,footer{{max-width:1040px;margin:0 auto;padding:0 24px}}
header{{padding-top:72px}}
h1{{font-size:clamp(30px,5vw,42px);line-height:1.15;letter-spacing:-.02em;margin:0 0 14px;font-weight:680;
overflow-wrap:anywhere}}
h2{{font-size:25px;line-height:1.25;letter-spacing:-.01em;margin:0 0 18px;font-weight:660;overflow-wrap:anywhere}}
h3,h4{{font-size:13px;letter-spacing:.02em;margin:0 0 10px;font-weight:660;color:var(--soft)}}
p{{margin:0 0 14px;max-width:68ch;overflow-wrap:anywhere}}
a{{color:inherit;text-decoration-color:var(--soft);text-underline-offset:3px}}
a:focus-visible{{outline:2px solid var(--neg);outline-offset:3px;border-radius:3px}}
.unseen{{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%);white-space:nowrap}}
.soft{{color:var(--soft)}}
.lead{{font-size:18px}}
.logo{{display:block;max-height:52px;max-width:260px;margin:0 0 28px;background:#fff;border-radius:6px}}
.scroll{{overflow-x:auto}}
.note{{border-left:3px solid var(--warn);padding-left:14px;color:var(--soft);font-size:15px}}
section{{margin:64px 0}}
article{{margin:72px 0;content-visibility:auto;contain-intrinsic-size:auto 1500px}}
.hurry{{background:var(--ground);border:1px solid var(--rule);border-radius:12px;padding:26px 28px;margin:36px 0}}
.hurry h2{{font-size:19px;margin-bottom:10px}}
.hurry ul,nav ol{{margin:0;padding:0;list-style:none}}
.hurry li{{padding:10px 0;border-top:1px solid var(--rule);display:flex;gap:12px}}
.hurry li:first-child{{border-top:0}}
.hurry li>div{{min-width:0;overflow-wrap:anywhere}}
.hurry .tally{{margin:0 0 6px}}
.hurry svg{{flex:none;width:18px;height:18px;margin-top:4px;overflow:visible}}
.hurry .more{{color:var(--soft);display:block;font-size:14.5px}}
nav{{margin:36px 0}}
nav ol{{columns:2;column-gap:40px;counter-reset:n}}
nav li{{break-inside:avoid;padding:3px 0 3px 32px;position:relative;overflow-wrap:anywhere}}
nav li::before{{counter-increment:n;content:counter(n);position:absolute;left:0;color:var(--soft);
font-variant-numeric:tabular-nums}}
figure{{margin:0 0 26px}}
figure>svg{{display:block;width:100%;height:auto}}
figure>svg.small{{display:none}}
.facts{{columns:3 270px;column-gap:44px;margin-bottom:24px}}
.facts>div{{break-inside:avoid;margin-bottom:28px}}
.facts>.broad{{column-span:all;padding-top:24px}}
.facts>.broad:first-child{{padding-top:0}}
.facts p{{font-size:14.5px}}
.facts table+p,.facts dl+p{{margin-top:10px;font-size:13px}}
details{{margin:0 0 28px}}
summary{{cursor:pointer;color:var(--soft);font-size:14.5px;padding:8px 0;border-top:1px solid var(--rule)}}
summary:focus-visible{{outline:2px solid var(--neg);outline-offset:3px;border-radius:3px}}
details[open]>summary{{margin-bottom:18px}}
.side{{display:grid;grid-template-columns:repeat(2,minmax(0,1fr));gap:28px;align-items:start}}
.side article{{margin:18px 0}}
.side .facts{{columns:1}}
table{{border-collapse:collapse;width:100%;font-size:14.5px}}
caption{{text-align:left}}
th,td{{text-align:left;padding:6px 14px 6px 0;border-bottom:1px solid var(--rule);vertical-align:top;
overflow-wrap:break-word}}
.scroll :is(th,td):not(.n){{min-width:7em}}
th{{font-weight:500;color:var(--soft)}}
tbody th{{color:var(--ink);min-width:8em}}
td.n,th.n{{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap;padding-right:0;padding-left:14px}}
dl{{display:grid;grid-template-columns:fit-content(45%) minmax(0,1fr);gap:3px 18px;margin:0;font-size:14px}}
dt{{color:var(--soft);max-width:22ch;overflow-wrap:anywhere}}
dd{{margin:0;overflow-wrap:anywhere;font-variant-numeric:tabular-nums}}
footer{{color:var(--soft);font-size:14px;padding-bottom:64px}}
.hurry .pass{{stroke:var(--pass)}}.hurry .warn{{stroke:var(--warn)}}.hurry .fail{{stroke:var(--fail)}}
.hurry .none{{stroke:var(--soft)}}
.hurry path{{fill:none;stroke-width:1.8;stroke-linecap:round;stroke-linejoin:round}}
@media (max-width:900px){{.side{{grid-template-columns:minmax(0,1fr)}}}}
@media (max-width:620px){{
header{{padding-top:40px}}
main,header,footer{{padding-left:16px;padding-right:16px}}
nav ol{{columns:1}}
article{{margin:52px 0}}
.hurry{{padding:20px 18px}}
figure>svg.large{{display:none}}
figure>svg.small{{display:block}}
}}
@media print{{
body{{font-size:10.5pt}}
.scroll{{overflow:visible}}
.scroll table{{font-size:7.5pt}}
.scroll :is(th,td){{min-width:0;white-space:normal;padding-right:6px;padding-left:0;overflow-wrap:anywhere}}
figure>svg{{max-height:240mm}}
header{{padding-top:0}}
main,header,footer{{max-width:none;padding:0}}
figure,table,.facts>div,.hurry li{{break-inside:avoid}}
h2,h3,h4{{break-after:avoid}}
article{{content-visibility:visible;margin:28pt 0}}
figure>svg.small{{display:none}}
figure>svg.large{{display:block}}
summary{{list-style:none}}
details::details-content{{content-visibility:visible;block-size:auto}}
*{{-webkit-print-color-adjust:exact;print-color-adjust:exact}}
@page{{margin:18mm}}
}}
"""
