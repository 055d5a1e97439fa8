/** The page's script, fourth part: unpacks the recording, and lists the commands that started its requests. */

export const contentScript = String.raw`
/* Unpacks the pieces of the recording, one by one, and shows it. */
async function showPacked() {
  byId('count').textContent = 'The recording is being read\u2026';
  const run = newRun();
  for (const piece of document.querySelectorAll('script.run')) {
    try {
      takeLines(run, await unpack(piece.textContent));
    } catch (error) {
      const why = typeof DecompressionStream === 'undefined' ? 'this browser is too old to unpack it' : String(error);
      run.notes.push('a part of the recording cannot be read: ' + why);
    }
    piece.remove();
  }
  showRun(endRun(run));
}

function unpack(text) {
  const packed = atob(text);
  const bytes = new Uint8Array(packed.length);
  for (let at = 0; at < packed.length; at += 1) bytes[at] = packed.charCodeAt(at);
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream('deflate-raw'))).text();
}

const MOST_COMMANDS = 500;

function showCommands(run) {
  byId('commands-section').hidden = run.commands.length === 0;
  const rows = run.commands.slice(0, MOST_COMMANDS).map((command) => '<tr class="' + (command.errno ? 't-fail' : '') + '"><td class="n">' + command.number +
    '</td><td class="n">' + duration(command.t - run.t0) + '</td><td class="line">' + '\u00a0'.repeat(2 * Math.min(16, command.depth)) + commandLink(command) +
    (command.client ? ' <span class="quiet">' + esc(command.client) + '</span>' : '') + '</td><td>' + (command.errno ? errnoName(command.errno) : '') + '</td></tr>');
  const rest = run.commands.length - MOST_COMMANDS;
  if (rest > 0) rows.push('<tr><td></td><td></td><td class="quiet">and ' + rest.toLocaleString('en') + ' more commands</td><td></td></tr>');
  byId('commands').innerHTML = table([['no.', 'n'], ['at', 'n'], ['command'], ['']], rows, 'Commands');
}

/* One that has started a request leads to it. */
function commandLink(command) {
  const text = esc(command.line);
  return command.first === null ? text : '<button type="button" class="link" data-command="' + command.number + '">' + text + '</button>';
}

function pickOfCommand(event) {
  const link = event.target.closest('[data-command]');
  if (link === null) return;
  const r = view.run.commands[Number(link.dataset.command) - 1].first;
  byId('filter').value = '';
  view.words = [];
  fit();
  chooseRows();
  pick(r, true);
  byId('h-timeline').scrollIntoView();
}
`;
