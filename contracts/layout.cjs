// Storage layouts: in a form that does not change with unrelated code, and their comparison.
"use strict";

/** A list of variables with their types spelt out; compiler-internal ids are left out. */
function normalise(layout) {
  if (!layout) return [];
  const types = layout.types ?? {};
  const spell = (id, seen) => {
    const type = types[id];
    if (!type || seen.includes(id)) return id.replace(/\)\d+(_storage)?/g, ")");
    const inside = [...seen, id];
    if (type.encoding === "mapping") return { key: spell(type.key, inside), value: spell(type.value, inside) };
    if (type.members) {
      return {
        struct: type.label.replace(/^struct /, ""),
        members: type.members.map((member) => variable(member, inside)),
      };
    }
    if (type.base) return { array: type.label, of: spell(type.base, inside) };
    return type.label;
  };
  const variable = ({ label, slot, offset, type }, seen) => ({
    label,
    slot: Number(slot),
    offset,
    type: spell(type, seen),
  });
  return (layout.storage ?? []).map((entry) => variable(entry, []));
}

/** What changed between two layouts: `broken` would misread stored data, `added` would not. */
function compare(before, after) {
  const broken = [];
  const added = [];
  // Struct members may be added only where nothing follows: in the value of a mapping.
  const type = (a, b, where, open) => {
    if (typeof a === "string" || typeof b === "string") {
      if (a !== b) broken.push(`${where} was ${JSON.stringify(a)}, is ${JSON.stringify(b)}`);
    } else if (a.key !== undefined && b.key !== undefined) {
      type(a.key, b.key, `key of ${where}`, false);
      type(a.value, b.value, `value of ${where}`, true);
    } else if (a.members && b.members) {
      variables(a.members, b.members, `${where}.`, open);
    } else if (a.of !== undefined && b.of !== undefined && a.array === b.array) {
      type(a.of, b.of, `element of ${where}`, false);
    } else {
      broken.push(`${where} was ${JSON.stringify(a)}, is ${JSON.stringify(b)}`);
    }
  };
  const variables = (olds, news, prefix, open) => {
    olds.forEach((old, index) => {
      const now = news[index];
      const where = `${prefix}${old.label}`;
      if (!now) broken.push(`${where} is gone`);
      else if (now.label !== old.label || now.slot !== old.slot || now.offset !== old.offset) {
        broken.push(
          `${where} at slot ${old.slot}+${old.offset} is now ` +
            `${prefix}${now.label} at slot ${now.slot}+${now.offset}`,
        );
      } else type(old.type, now.type, where, false);
    });
    for (const extra of news.slice(olds.length)) {
      const where = `${prefix}${extra.label}`;
      if (open) added.push(where);
      else broken.push(`${where} was added where something may follow`);
    }
  };
  variables(before, after, "", true);
  return { broken, added };
}

module.exports = { compare, normalise };
