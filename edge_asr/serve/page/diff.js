// How two texts differ, word by word: the longest common subsequence.

/** Return pairs of [kind, words] with kind "same", "gone" or "new", in order. */
export function differences(before, after) {
  const a = words(before);
  const b = words(after);
  const lengths = table(a, b);
  const found = [];
  let i = 0;
  let j = 0;
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && a[i] === b[j]) {
      push(found, "same", a[i]);
      i += 1;
      j += 1;
    } else if (j >= b.length || (i < a.length && lengths[i + 1][j] >= lengths[i][j + 1])) {
      push(found, "gone", a[i]);
      i += 1;
    } else {
      push(found, "new", b[j]);
      j += 1;
    }
  }
  return found.map(([kind, parts]) => [kind, parts.join(" ")]);
}

const words = (text) => text.split(/\s+/).filter(Boolean);

/** Cell i, j: how many words a[i:] and b[j:] have in common, in order. */
function table(a, b) {
  const lengths = Array.from({ length: a.length + 1 }, () => new Uint16Array(b.length + 1));
  for (let i = a.length - 1; i >= 0; i -= 1) {
    for (let j = b.length - 1; j >= 0; j -= 1) {
      lengths[i][j] = a[i] === b[j] ? lengths[i + 1][j + 1] + 1 : Math.max(lengths[i + 1][j], lengths[i][j + 1]);
    }
  }
  return lengths;
}

function push(found, kind, word) {
  const last = found[found.length - 1];
  if (last && last[0] === kind) last[1].push(word);
  else found.push([kind, [word]]);
}
