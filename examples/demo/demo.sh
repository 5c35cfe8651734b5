#!/usr/bin/env bash
# The whole story on a real cluster, told on the terminal: a first release, a harmless change that is promoted, and a model
# update that is taken back by itself. The cluster stays up until `make demo-down`. It must not fake a step: everything
# printed is read from the objects or measured here.
set -euo pipefail
cd "$(dirname "$0")/../.."
. tests/cluster/lib.sh
need_root "make demo"

work=$STATE/demo
bold=; plain=
if [[ -t 1 && -z ${NO_COLOR:-} ]]; then bold=$'\e[1m'; plain=$'\e[0m'; fi
chapter() { printf '\n%s== %s ==%s\n' "$bold" "$*" "$plain"; }
tell() { printf '%s\n' "$*"; }
inside() { tests/cluster/run.sh "$@"; }
show() { printf '%s$ %s%s\n' "$bold" "$*" "$plain"; inside "$@"; }
rollpin() { inside "$ROLLPIN" --namespace agents "$@"; }

load_pid=
stop_load() {
  [[ -n $load_pid ]] || return 0
  kill "$load_pid" 2>/dev/null || true
  # It was asked to end, and says so in its status.
  wait "$load_pid" 2>/dev/null || true
  load_pid=
}
trap stop_load EXIT

# Sessions of three turns that echo the pin; bounded in time, and ended by stop_load.
start_load() { # seed, and so the questions that are asked
  stop_load
  # Through exec the number of the process is the generator's own, which a signal then reaches.
  (exec tests/cluster/run.sh "$LOADGEN" --url "$GATEWAY/v1/turn" --host oracle.example --sessions-per-second 40 --duration 280 --turns 3 \
    --think-time 0.3 --seed "$1" --report "$work/load-$1.json" >/dev/null 2>"$work/load-$1.log") &
  load_pid=$!
  sleep 2
  kill -0 "$load_pid" 2>/dev/null || die "the load generator did not start: $(tail -n 3 "$work/load-$1.log")"
}

apply() { # model version, prompt
  sed -e "s|@IMAGE@|$AGENT_IMAGE|" -e "s|@VERSION@|$1|" -e "s|@PROMPT@|$2|" examples/demo/release.yaml >"$work/release.yaml"
  show kubectl apply -f "$work/release.yaml"
}

# Prints each new sentence of the status until the phase is reached.
follow() { # phase, seconds
  local deadline=$((SECONDS + $2)) line last='' phase=
  while ((SECONDS < deadline)); do
    line=$(inside kubectl -n agents get agentrelease oracle -o jsonpath='{.status.phase}{"\t"}{.status.weight}{"\t"}{.status.message}')
    phase=${line%%$'\t'*}
    if [[ $line != "$last" ]]; then
      printf '  %3d s  %s\n' "$((SECONDS - began))" "$(tr '\t' ' ' <<<"$line" | cut -c1-220)"
      last=$line
    fi
    [[ $phase == "$1" ]] && return 0
    sleep 1
  done
  inside kubectl -n rollpin-system logs deployment/rollpin --tail=30 >&2 || true
  die "the release did not become $1 within $2 s; it is $phase: make shell, then kubectl -n agents describe agentrelease oracle"
}

chapter "What you will see"
tell "An agent that answers 'is this number prime?', replayed from recorded runs of gpt-4-0314 and gpt-4-0613 (LLMDrift, 1,000 questions each)."
tell "Recorded: whether each answer was right and well formed, its tokens, length and latency (divided by 20 here). Synthetic: the text, the tool"
tell "call, the turns after the first, and which question a session asks (a hash, fixed seed). The control plane, pods, gateway and sessions are real."
tell "Margins of 10 points, 40 sessions a second and a bake of 30 s make this quick; production has stricter gates, less traffic, and takes hours."

examples/demo/prepare.sh
. "$work/env"
began=$SECONDS
# A demo that is told again begins anew: in earnest nobody deletes ledgers, since they keep what was tried and held.
inside kubectl -n agents delete agentrelease oracle --ignore-not-found >/dev/null
inside kubectl -n agents delete evidenceledgers --selector rollpin.dev/name=oracle >/dev/null

chapter "1. The first release: gpt-4-0314"
apply 0314 "Answer whether the number is prime."
follow Baking 60
start_load 1
tell "It has no predecessor, so there is no canary: it serves, and bakes for 30 s."
follow Healthy 60
show kubectl -n agents get agentrelease oracle

chapter "2. A change of the prompt that changes nothing in behaviour"
apply 0314 "Answer whether the number is prime. Be brief."
follow Baking 150
rollpin explain oracle
follow Healthy 60
stop_load

chapter "3. A new model snapshot: gpt-4-0613"
tell "The cheap signs are good: see the medians of the recorded runs below. Only quality is not."
examples/demo/recorded.sh
start_load 2
apply 0613 "Answer whether the number is prime. Be brief."
follow RolledBack 120
sleep 3
stop_load
show kubectl -n agents get agentrelease oracle
examples/demo/containment.sh "$work/load-2.json"

chapter "4. What stays"
rollpin explain oracle
rollpin history oracle
tell ""
tell "Told in $((SECONDS - began)) s. The cluster stays up: 'make shell' opens it (try: kubectl -n agents get agentrelease,agentrevision,decisionrecord),"
tell "'make demo-down' ends it. The spec still asks for gpt-4-0613; nothing loops: revert it, or retry with a name and a reason."
