#!/usr/bin/env bash
# What a latency or a cost gate alone would have seen: medians of the recorded runs, computed here from the table.
set -euo pipefail
cd "$(dirname "$0")/../.."
python3 - examples/replay-agent/data/llmdrift_gpt4_prime.csv <<'EOF'
import csv, statistics, sys
rows = list(csv.DictReader(line for line in open(sys.argv[1]) if not line.startswith("#")))
print(f"  {'recorded':22}{'0314':>10}{'0613':>10}")
def arm(name): return [row for row in rows if name in row["arm"]]
old, new = arm("0314"), arm("0613")
for title, column, scale, unit in (("median latency", "latency_s", 1, "s"), ("mean output tokens", "out_tok", 1, ""), ("mean cost", "cost_usd", 1000, "m$"), ("right answers", "ok", 100, "%")):
    middle = statistics.median if "median" in title else statistics.mean
    print(f"  {title:22}" + "".join(f"{middle([float(row[column]) for row in rows_]) * scale:>8.1f}{unit:2}" for rows_ in (old, new)))
faster = statistics.median(float(r["latency_s"]) for r in old) / statistics.median(float(r["latency_s"]) for r in new)
cheaper = statistics.mean(float(r["cost_usd"]) for r in old) / statistics.mean(float(r["cost_usd"]) for r in new)
print(f"  {faster:.1f} times faster and {cheaper:.1f} times cheaper: a latency or cost gate alone would have promoted it.")
EOF
