#!/usr/bin/env bash
# From the committed verdict to the last answer of the withdrawn release: the API server's audit log and the load generator's
# own clock, which are the same machine's. It measures; it decides nothing.
#
#   containment.sh REPORT-OF-LOADGEN
set -euo pipefail
cd "$(dirname "$0")/../.."
. tests/cluster/lib.sh
tests/cluster/run.sh kubectl -n agents get agentrelease oracle -o json >"$STATE/demo/release.json"
python3 - "$STATE/logs/audit.log" "$1" "$STATE/demo/release.json" <<'EOF'
import base64, datetime, json, sys
log, report, release = sys.argv[1], json.load(open(sys.argv[2])), json.load(open(sys.argv[3]))
hold = release["status"]["hold"][-1]
name = base64.b32encode(bytes.fromhex(hold["digest"][7:])).decode().lower().rstrip("=")
def when(text): return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
writes = []
for line in open(log):
    event = json.loads(line)
    ref = event.get("objectRef") or {}
    if event.get("stage") == "ResponseComplete" and event["verb"] in ("patch", "update") and ref.get("name") == "oracle" and event["responseStatus"].get("code") == 200:
        if "rollpin" in event["user"]["username"]:
            writes.append((when(event["stageTimestamp"]), ref["resource"], ref.get("subresource", "")))
since = when(hold["since"])
route = next(t for t, resource, _ in writes if resource == "httproutes" and t >= since)
verdict = max(t for t, resource, sub in writes if resource == "agentreleases" and sub == "status" and t <= route)
print(f"  verdict committed -> route written: {1000 * (route - verdict):.0f} ms")
seen = report["releases"].get(name, {})
for kind in ("new", "pinned"):
    last = (seen.get("last_answer_us") or {}).get(kind)
    if last:
        sent = seen["last_sent_us"][kind]
        print(f"  verdict committed -> last {kind} request that still reached the withdrawn release: {max(0, sent / 1000 - 1000 * verdict):.0f} ms; its answer: {max(0, last / 1000 - 1000 * verdict):.0f} ms (0: none after the verdict; answers under way are not cut off)")
print(f"  sessions that began on it: {seen.get('new_sessions', 0)}; sessions moved back to the stable release: {report['moved']}")
print(f"  follow-ups answered by the release that their session began on: {report['sticky_followups']} of {report['followups']}")
EOF
