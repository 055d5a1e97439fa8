/** The elements of the page of a recording; the script fills them. */

export const pageMarkup = String.raw`<header>
<div class="title"><h1>blkscope recording</h1><p id="chain"></p></div>
<ul id="facts"></ul>
</header>
<div id="notes" role="note" hidden></div>
<main>
<section aria-labelledby="h-timeline">
<div class="bar">
<h2 id="h-timeline">Timeline</h2>
<label class="filter"><span>Filter</span><input id="filter" type="search" autocomplete="off" spellcheck="false"
 placeholder="write, l2_load, suspended, ENOSPC, w4, -read"></label>
<div class="group" role="group" aria-label="Scale">
<button type="button" id="by-time" aria-pressed="true" title="Scale by time (t)">Time</button><button type="button"
 id="by-order" aria-pressed="false" title="Scale by order: each record one step (t)">Order</button>
</div>
<div class="group" role="group" aria-label="Zoom">
<button type="button" id="zoom-out" title="Zoom out (-)" aria-label="Zoom out">&minus;</button><button type="button"
 id="zoom-in" title="Zoom in (+)" aria-label="Zoom in">+</button><button type="button" id="zoom-fit" title="Show all (0)">Fit</button>
</div>
<button type="button" id="keys" aria-expanded="false" aria-controls="key-list">Keys</button>
</div>
<dl id="key-list" hidden>
<div><dt>+ &minus;, Ctrl+wheel, wheel on the axis</dt><dd>zoom</dd></div>
<div><dt>&larr; &rarr;, drag, Shift+wheel</dt><dd>move</dd></div>
<div><dt>Shift+drag, drag in the overview</dt><dd>zoom to a range</dd></div>
<div><dt>&uarr; &darr;, click</dt><dd>select a request</dd></div>
<div><dt>Enter, double click</dt><dd>zoom to the request</dd></div>
<div><dt>0, Esc</dt><dd>show all</dd></div>
<div><dt>t</dt><dd>time or order</dd></div>
<div><dt>?</dt><dd>show or hide this</dd></div>
<div><dt>/</dt><dd>filter; words in any order, -word excludes</dd></div>
</dl>
<ul class="legend" aria-label="Legend">
<li><i class="k read"></i>read</li><li><i class="k write"></i>write</li><li><i class="k zero"></i>zeroes</li>
<li><i class="k discard"></i>discard</li><li><i class="k flush"></i>other</li>
<li><svg width="22" height="12" aria-hidden="true"><rect class="hold" width="22" height="12" rx="2"/></svg>suspended</li>
<li><svg width="22" height="12" aria-hidden="true"><rect class="wait" width="22" height="12" rx="2"/></svg>waits for another</li>
<li><svg width="8" height="12" aria-hidden="true"><path class="tick" d="M4 1v10"/></svg>event</li>
<li><svg width="12" height="12" aria-hidden="true"><path class="hit" d="M6 1l5 5-5 5-5-5z"/></svg>rule hit</li>
<li><svg width="12" height="12" aria-hidden="true"><path class="fail" d="M2 2l8 8M10 2l-8 8"/></svg>error</li>
<li><svg width="12" height="12" aria-hidden="true"><path class="hazard" d="M0 11l6 -11l6 11z"/></svg>hazard</li>
<li><svg width="8" height="12" aria-hidden="true"><path class="state" d="M4 0v12"/></svg>state change</li>
</ul>
<div id="overview" title="Drag to zoom to a range"></div>
<div id="axis"></div>
<div id="chart" tabindex="0" role="application" aria-label="Timeline of requests. Up and down select a request, left and right move, plus and minus zoom, Enter zooms to the request."
 aria-describedby="detail"><div id="spacer"></div><div id="rows"></div></div>
<p id="empty" hidden>No request matches.</p>
<p id="count" aria-live="polite"></p>
</section>
<section id="detail-section" aria-labelledby="h-detail">
<h2 id="h-detail">Request</h2>
<div id="detail" aria-live="polite"><p class="quiet">Select a request in the timeline to see its steps.</p></div>
</section>
<section id="commands-section" aria-labelledby="h-commands" hidden>
<h2 id="h-commands">Commands</h2>
<div class="scroll" id="commands"></div>
</section>
<section aria-labelledby="h-rules">
<h2 id="h-rules">Rules</h2>
<div class="scroll" id="rules"></div>
</section>
<section aria-labelledby="h-events">
<h2 id="h-events">Events reached</h2>
<div class="scroll" id="events"></div>
</section>
</main>
<div id="tip" role="tooltip" hidden></div>`;
