"""Checks what `switchyard demo --json` claims about itself."""
import json
import sys

demo = json.load(open(sys.argv[1]))
runs = demo["executions"]
shas = [r["commit"] for r in runs]
assert demo["pushed"] == len(runs) == len(set(shas)), f"pushed {demo['pushed']}, {len(runs)} executions of {len(set(shas))} commits"
assert demo["skipped"] == 0, demo["skipped"]
states = {r["state"] for r in runs}
assert states == {"succeeded", "failed"}, f"one commit is broken on purpose, the others pass; got {states}"
assert sum(r["state"] == "failed" for r in runs) == 1
print(f"demo: {demo['pushed']} commits pushed, {len(runs)} executions, {demo['skipped']} skipped")
