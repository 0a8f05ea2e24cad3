#!/usr/bin/env python3
"""Writes the Grafana boards beside this file.

generate.py                 writes the boards
generate.py --check         says what is wrong and ends with 1: boards out of date, metrics that no source defines,
                            alerts without a test, a runbook or a panel
generate.py --expressions   prints every query of the boards as a rule file, for promtool to parse

In queries, @ stands for the job and the instances chosen on the board.
"""

import json
import re
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]

SCHEMA = 42  # classic boards of Grafana 12 and 13
CHOSEN = 'job=~"$job", instance=~"$instance"'
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
PROCESS = {"cpu_seconds_total", "open_fds", "max_fds", "virtual_memory_bytes", "resident_memory_bytes",
           "start_time_seconds", "threads"}

# --- queries


def by_label(by):
    return f" by ({by}) " if by else ""


def rate(metric, by=None, where=""):
    return f"sum{by_label(by)}(rate({metric}{{@{where and ', ' + where}}}[$__rate_interval]))"


def a_minute(metric, by=None, where=""):
    return f"60 * {rate(metric, by, where)}"


def total(metric, by=None):
    return f"sum{by_label(by)}({metric}{{@}})"


def quantile(q, metric, by=None):
    return f"histogram_quantile({q}, {rate(f'{metric}_bucket', f'le, {by}' if by else 'le')})"


def quantiles(metric):
    return {f"p{round(q * 100)}": quantile(q, metric) for q in (0.5, 0.95, 0.99)}


def mean(metric, by):
    return f"{rate(f'{metric}_sum', by)} / {rate(f'{metric}_count', by)}"


EVENTS = 'kind!="partial"'
LATENCY = quantiles("sotto_final_latency_seconds")
IN_TIME = (rate("sotto_final_latency_seconds_bucket", where='le="0.5"')
           + " / " + rate("sotto_final_latency_seconds_count"))
WAIT = {"{{work}}": quantile(0.95, "sotto_speech_queue_wait_seconds", "work")}
RECORDED = {
    "made": rate("sotto_call_events_total", where=EVENTS),
    "in rows": rate("sotto_vault_rows_total"),
}
DURABLE = {
    "acknowledged (log), p50": quantile(0.5, "sotto_bus_append_seconds"),
    "acknowledged (log), p99": quantile(0.99, "sotto_bus_append_seconds"),
    "in rows (vault), p50": quantile(0.5, "sotto_vault_write_seconds"),
    "in rows (vault), p99": quantile(0.99, "sotto_vault_write_seconds"),
}
OLDEST = "max by (class) (sotto_oldest_row_age_seconds{@})"
LIMIT = "max by (class) (sotto:retention_limit_seconds)"
REFUSALS = {"{{reason}}": a_minute("sotto_refusals_total", "reason")}

# --- panels


def panel(number, title, unit, description, queries, kind="timeseries", width=8, height=8, limit=None,
          least=0, most=None, **field):
    """A panel; `queries` maps legends to expressions, `limit` is where a line is drawn and a stat turns red."""
    steps = [{"color": "green" if kind == "stat" else "transparent", "value": None}]
    if limit is not None:
        steps.append({"color": "red", "value": limit})
    custom = {"fillOpacity": 0, "lineWidth": 1, "showPoints": "never"}
    if kind == "timeseries" and limit is not None:
        custom["thresholdsStyle"] = {"mode": "dashed"}
    legend = {"showLegend": True, "displayMode": "table", "placement": "bottom", "calcs": ["lastNotNull", "max"]}
    options = {
        "timeseries": {"legend": legend, "tooltip": {"mode": "multi", "sort": "desc"}},
        "stat": {"reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False}, "graphMode": "area",
                 "colorMode": "none" if limit is None else "value", "textMode": "auto", "justifyMode": "auto"},
        "state-timeline": {"legend": {"showLegend": False, "displayMode": "list", "placement": "bottom"},
                           "showValue": "never", "rowHeight": 0.8, "mergeValues": True},
    }[kind]
    defaults = {"unit": unit, "color": {"mode": "thresholds" if kind != "timeseries" else "palette-classic"},
                "thresholds": {"mode": "absolute", "steps": steps}} | field
    if kind == "timeseries":
        ends = {"min": least, "max": most}
        defaults |= {"custom": custom} | {end: value for end, value in ends.items() if value is not None}
    return {
        "id": number, "type": kind, "title": title, "description": description, "datasource": SOURCE,
        "gridPos": {"w": width, "h": height},
        "fieldConfig": {"defaults": defaults, "overrides": []}, "options": options,
        "targets": [
            {"refId": chr(ord("A") + n), "datasource": SOURCE, "editorMode": "code", "range": True,
             "expr": expression.replace("@", CHOSEN), "legendFormat": name}
            for n, (name, expression) in enumerate(queries.items())
        ],
    }


def stat(number, title, unit, description, expression, **more):
    return panel(number, title, unit, description, {title: expression}, "stat", width=4, height=4, **more)


# Numbers of panels are addresses: alerts and bookmarks point at them. Never reuse one.
BOARDS = {
    "well": ("Is it well", [
        stat(1, "Calls on air", "suffix: calls", "Calls that someone feeds. A drop to 0 in working hours: see Up.",
             total("sotto_calls_on_air")),
        stat(2, "Calls parked", "suffix: calls",
             "Calls whose socket broke and that wait for their caller. A jump means that a network or a proxy broke.",
             total("sotto_calls_parked")),
        stat(3, "Turned away", "suffix: a minute",
             "Handshakes refused because the server is full. Above 0: callers go without a transcript.",
             a_minute("sotto_refusals_total", where='reason="full"') + " or vector(0)", limit=0.1),
        stat(4, "Finals, p95", "s", "95 of 100 finals take no longer. The objective is 500 ms.", LATENCY["p95"],
             limit=0.5),
        stat(5, "Oldest row", "percentunit",
             "Age of the oldest row as a share of its class's limit, the worst class. Above 100 %: data outlives what "
             "was promised. The limits are set in the alert rules.", f"max({OLDEST} / on (class) {LIMIT})", limit=1),
        stat(6, "Up", "suffix: servers", "Servers that Prometheus reaches. Fewer than you run: one is down.",
             'sum(up{@}) or vector(0)'),
        panel(7, "Alerts", "none", "What fires, since when. Each alert names its runbook and its panel.",
              {"{{alertname}} {{instance}}":
               'max by (alertname, instance) (ALERTS{alertname=~"Sotto.*", alertstate="firing"})'},
              "state-timeline", width=24, height=5, noValue="nothing fires",
              mappings=[{"type": "value", "options": {"1": {"text": "firing", "color": "red"}}}]),
        panel(8, "Calls", "suffix: calls",
              "Parked calls keep their places: both together are held against capacity.calls, and against what fits, going by "
              "what calls took lately.",
              {"on air {{instance}}": total("sotto_calls_on_air", "instance"),
               "fit {{instance}}": total("sotto_speech_calls_that_fit", "instance"),
               "parked {{instance}}": total("sotto_calls_parked", "instance")}),
        panel(9, "Refusals", "suffix: a minute",
              "full: more calls than the machine carries. draining: a server that stops, seconds at most. no_key, "
              "unknown_key, signature: a client is set up wrongly, or someone tries keys.", REFUSALS),
        panel(10, "Latency of finals", "s",
              "From the end of an utterance being noticed to its final. p95 below the line.",
              LATENCY, limit=0.5),
        panel(11, "Finals within 500 ms", "percentunit", "At least 95 % is the objective; less eats the budget.",
              {"within 500 ms": IN_TIME, "objective": "vector(0.95)"}, most=1),
        panel(12, "Wait for a speech thread, p95", "s",
              "Above the line, 250 ms, for vad or final: new calls are refused. partial gives way first.",
              WAIT, limit=0.25),
        panel(13, "Made and in rows", "suffix: events/s",
              "The two lines lie on each other. A gap that stays: rows are not written; what callers were promised is "
              "safe on the log all the same.", RECORDED),
        panel(14, "Time until durable", "s",
              "Callers wait for the log: its p99 is theirs. The vault comes after and may be slower, but not more "
              "and more so.",
              DURABLE),
        panel(15, "Oldest row against its limit", "percentunit",
              "Rises to 100 % and stays just below when all is well. Above: see the runbook for SottoRowsOverdue.",
              {"{{class}}": f"{OLDEST} / on (class) {LIMIT}"}, limit=1),
        panel(16, "Failures", "suffix: a minute",
              "All at 0. Calls that fail can be resumed; nothing acknowledged is lost.",
              {"calls": a_minute("sotto_call_failures_total"),
               "recogniser": a_minute("sotto_recogniser_failures_total"),
               "rows": a_minute("sotto_vault_write_failures_total"), "sweeps": a_minute("sotto_sweep_failures_total")}),
        panel(17, "Partials left out", "suffix: a minute",
              "dropped: clients read too slowly. refused: too many waited, the machine is overloaded. missed: watchers "
              "of /live are too slow. Finals are not touched by any of them.",
              {"dropped": a_minute("sotto_partials_dropped_total"), "refused": a_minute("sotto_partials_refused_total"),
               "missed": a_minute("sotto_live_missed_total")}),
        panel(18, "Processor", "suffix: cores",
              "Near capacity.speech_threads, or the machine's cores, finals come late.",
              {"{{instance}}": rate("process_cpu_seconds_total", "instance")}),
        panel(19, "Memory", "bytes", "Resident. Follows the calls; what keeps rising at the same load is a leak.",
              {"{{instance}}": total("process_resident_memory_bytes", "instance")}),
        panel(20, "Open files", "percentunit", "Of those the process may have. At 100 % no connection is accepted.",
              {"{{instance}}": f"{total('process_open_fds', 'instance')} / {total('process_max_fds', 'instance')}"},
              limit=0.8),
        panel(21, "Time since the start", "s",
              "Falls to 0 at each restart. A saw means that it crashes and comes back.",
              {"{{instance}}": "time() - max by (instance) (process_start_time_seconds{@})"}),
    ]),
    "ingest": ("Ingest", [
        panel(1, "Sockets", "suffix: sockets", "Sockets well above calls on air: clients connect and send no start.",
              {"sockets": total("sotto_sockets"), "calls on air": total("sotto_calls_on_air")}),
        panel(2, "Refusals", "suffix: a minute",
              "Handshakes refused, by reason; docs/protocol.md says what mends each.", REFUSALS),
        panel(3, "Sockets closed", "suffix: a minute",
              "closed: the client's wish. broken, not_reading, idle: network or client. storage, engine: look here at "
              "once.",
              {"{{reason}}": a_minute("sotto_sockets_closed_total", "reason")}),
        panel(4, "Messages", "suffix: messages/s", "Some 50 for each call at 20 ms of audio a message.",
              {"{{dialect}}": rate("sotto_messages_total", "dialect")}),
        panel(5, "Audio, encoded", "Bps", "Follows the calls. Falls without them: clients send silence, or nothing.",
              {"{{dialect}}": rate("sotto_audio_bytes_total", "dialect")}),
        panel(6, "Audio taken in", "suffix: s/s",
              "Seconds of audio a second, each channel counted. About calls times channels in real time; less: audio "
              "comes late.",
              {"audio": rate("sotto_audio_seconds_total"), "speech": rate("sotto_speech_seconds_total")}),
        panel(7, "Clients that do not read", "suffix: a minute",
              "dropped: partials left out. full: an event found no room, which ends the socket as not_reading.",
              {"dropped": a_minute("sotto_partials_dropped_total"), "full": a_minute("sotto_call_queue_full_total")}),
        panel(8, "Clock jumps", "suffix: a minute",
              "A Twilio track's clock jumped by more than 60 s. Above 0: ask the platform.",
              {"jumps": a_minute("sotto_clock_jumps_total")}),
        panel(9, "Calls parked", "suffix: calls",
              "Follows broken sockets, and falls as callers come back or are given up.",
              {"{{instance}}": total("sotto_calls_parked", "instance")}),
    ]),
    "pipeline": ("Pipeline", [
        panel(1, "Latency of finals", "s", "The objective is p95 below the line.", LATENCY, limit=0.5),
        panel(2, "Latency of partials", "s", "From the audio being there to its partial. Rises before finals do.",
              quantiles("sotto_partial_latency_seconds")),
        panel(3, "Wait for a speech thread, p95", "s",
              "Above the line, for vad or final, new calls are refused; sooner when more are on air than fit.",
              WAIT, limit=0.25),
        panel(4, "Waiting for a speech thread", "suffix: jobs",
              "Back at 0 between two scrapes when all is well. exact holds what finals wait for, spare the work of calls "
              "that are fed faster than they were spoken.",
              {"{{queue}}": total("sotto_speech_queue_depth", "queue")}),
        panel(5, "Speech threads at work", "suffix: threads",
              "Busy threads, on average. Near capacity.speech_threads: full. exact and partial hold voice activity "
              "done in between.",
              {"{{model}} {{work}}": rate("sotto_recogniser_seconds_total", "model, work"), "vad": rate("sotto_vad_seconds_total")}),
        panel(6, "Cost of a second of audio", "s",
              "Processor time a second of audio, each channel counted. Compare with docs/performance.md.",
              {"cost": f"{rate('process_cpu_seconds_total')} / {rate('sotto_audio_seconds_total')}"}),
        panel(7, "Rows in a batch, mean", "suffix: rows", "Grows with the calls; larger batches cost less a row.",
              {"{{work}}": mean("sotto_speech_batch_size", "work")}),
        panel(8, "Audio recognised for each second of speech", "suffix: s",
              "exact lies little above 1: what is asked for before an utterance is over may be in vain. partial holds some of the sound several times.",
              {"{{work}}": f"{rate('sotto_recogniser_window_seconds_total', 'work')}"
                           f" / on () group_left () {rate('sotto_speech_seconds_total')}"}),
        panel(9, "Real-time factor of finals", "percentunit", "Time to make a final over its utterance's length.",
              quantiles("sotto_final_real_time_factor")),
        panel(10, "Speech in the audio", "percentunit",
              "Around 50 % a channel in talk between two. Near 0: silence comes, or nothing is heard.",
              {"speech": f"{rate('sotto_speech_seconds_total')} / {rate('sotto_audio_seconds_total')}"}, most=1),
        panel(11, "Events", "suffix: a minute",
              "final below utterances by those that held no words. gap: audio was missing.",
              {"{{kind}}": a_minute("sotto_call_events_total", "kind"),
               "utterances": a_minute("sotto_utterances_total")}),
        panel(12, "Tokens", "suffix: tokens/s",
              "Follows speech. Many tokens for little speech: noise is taken for words.",
              {"tokens": rate("sotto_recogniser_tokens_total")}),
        panel(13, "Partials not made", "suffix: a minute", "Too many waited: far more calls than the machine carries.",
              {"refused": a_minute("sotto_partials_refused_total")}),
        panel(14, "Recogniser trouble", "suffix: a minute",
              "failures: the runtime failed on a batch, calls end as engine. cut short: a hypothesis repeated itself; "
              "a few are usual.",
              {"failures": a_minute("sotto_recogniser_failures_total"),
               "cut short": a_minute("sotto_recogniser_cut_short_total")}),
        panel(15, "Redactions", "suffix: a minute",
              "Personal data hidden in finals. A kind that falls to 0 at usual calls: was it switched off?",
              {"{{kind}}": a_minute("sotto_redactions_total", "kind")}),
        panel(16, "Voice activity a frame", "s", "Time for one frame of 32 ms. Grows when threads share too few cores.",
              {"frame": f"{rate('sotto_vad_seconds_total')} / {rate('sotto_vad_frames_total')}"}),
    ]),
    "storage": ("Storage", [
        panel(1, "Made and in rows", "suffix: events/s", "The two lines lie on each other.", RECORDED),
        panel(2, "Not in rows yet", "suffix: records",
              "Records on the bus that the writers have not passed. Around 0; high after a start that writes what was "
              "left. Rising: the writer falls behind. Nodes that share a bus measure the same.",
              {"{{instance}}": total("sotto_bus_lag_records", "instance")}),
        panel(3, "Rows that had to be tried again", "suffix: a minute",
              "Above 0: the disk is full or fails. Nothing is lost; readers see old rows.",
              {"{{instance}}": a_minute("sotto_vault_write_failures_total", "instance")}),
        panel(4, "Time until durable", "s", "Callers wait for the log; the vault comes after.", DURABLE),
        panel(5, "One transaction, p95", "s", "The sync to disk included. Above the line the disk is too slow.",
              {"{{database}}": quantile(0.95, "sotto_database_commit_seconds", "database")}, limit=0.25),
        panel(6, "Jobs that wait for a database", "suffix: jobs",
              "1024 is full: then everything that writes waits for room.",
              {"{{database}}": total("sotto_database_queue_depth", "database")}),
        panel(7, "Database queue full", "suffix: a minute", "Above 0: callers wait for the disk.",
              {"{{database}}": a_minute("sotto_database_queue_full_total", "database")}),
        panel(8, "Age of the oldest row", "s",
              "At the last sweep; 0 when there is none. Each class stays below its limit, which the alert rules hold.",
              {"{{class}}": OLDEST, "limit {{class}}": LIMIT}),
        panel(9, "Oldest row against its limit", "percentunit", "Above the line data outlives what was promised.",
              {"{{class}}": f"{OLDEST} / on (class) {LIMIT}"}, limit=1),
        panel(10, "Sweeps", "suffix: a minute",
              "One each sweep_seconds. At 0 the ages above stand still and say nothing.",
              {"done {{instance}}": a_minute("sotto_sweeps_total", "instance"),
               "failed {{instance}}": a_minute("sotto_sweep_failures_total", "instance")}),
        panel(11, "Swept", "suffix: a minute", "Follows the calls of one retention ago.",
              {"{{kind}}": a_minute("sotto_swept_total", "kind")}),
        panel(12, "Fields sealed", "suffix: fields/s",
              "Follows events and partials. At 0 while calls are on air: nothing is recorded.",
              {"sealed": rate("sotto_seals_total")}),
        panel(13, "Waiting for Kafka", "bytes",
              "Sealed events on the disk of a node because Kafka was away. 0 otherwise, and always on embedded engines.",
              {"{{instance}}": total("sotto_spool_bytes", "instance")}),
        panel(14, "Records that missed Kafka", "suffix: a minute",
              "not acknowledged: the brokers were too slow or away. spooled: kept on the node. refused: the spool was "
              "full, which ends calls.",
              {"not acknowledged": a_minute("sotto_bus_failures_total"), "spooled": a_minute("sotto_spooled_total"),
               "refused": a_minute("sotto_spool_full_total")}),
        panel(15, "Live updates lost", "suffix: a minute",
              "Boards on other nodes catch up from rows. dropped: Kafka took no more. unreadable: nodes of different "
              "versions.",
              {"dropped": a_minute("sotto_live_dropped_total"), "unreadable": a_minute("sotto_live_unreadable_total")}),
        panel(16, "Sent again", "suffix: a minute",
              "Requests that the drivers of Kafka and ScyllaDB had to repeat. Some while a node restarts; many for long: "
              "a node is overloaded, or the network loses what it carries.",
              {"{{driver}}": a_minute("sotto_driver_retries_total", "driver")}),
    ]),
    "people": ("People", [
        panel(1, "Watchers", "suffix: streams",
              "Open live streams: boards, calls, overlays of agents. Overlays far below calls on air: agents see "
              "nothing.",
              {"{{kind}}": total("sotto_watchers", "kind"), "calls on air": total("sotto_calls_on_air")}),
        panel(2, "Watchers that lag", "suffix: a minute",
              "lag: a board fell behind and was given everything anew. missed: a watcher of /live was too slow. Some "
              "after sleep are usual; many: the network, or the server is short of time.",
              {"lag": a_minute("sotto_watcher_lag_total"), "missed": a_minute("sotto_live_missed_total")}),
        panel(3, "Logins", "suffix: a minute",
              "wrong and locked that rise without ok: someone guesses passwords, or an update broke logins. link: the "
              "way in was a link.",
              {"{{outcome}}": a_minute("sotto_logins_total", "outcome")}),
        panel(4, "Moments", "suffix: a minute",
              "Phrases of scorecards that were said, by level. A jump after a change of scorecards: look at those "
              "first.",
              {"{{level}}": a_minute("sotto_moments_total", "level")}),
        panel(5, "Alerts and their acknowledgement", "suffix: a minute",
              "Supervisors keep up when the lines run together. acknowledged at 0: nobody is at the board.",
              {"warning and urgent": a_minute("sotto_moments_total", where='level=~"warning|urgent"'),
               "acknowledged": a_minute("sotto_alerts_acknowledged_total")}),
    ]),
}

# --- boards


def laid_out(panels):
    """Panels from left to right, a new line where one does not fit."""
    x = y = line = 0
    for each in panels:
        place = each["gridPos"]
        if x + place["w"] > 24:
            x, y, line = 0, y + line, 0
        place |= {"x": x, "y": y}
        x, line = x + place["w"], max(line, place["h"])
    return panels


def choice(name, label, query):
    return {"name": name, "label": label, "type": "query", "datasource": SOURCE, "multi": True, "includeAll": True,
            "current": {"text": ["All"], "value": ["$__all"]}, "refresh": 2, "sort": 1,
            "query": {"qryType": 1, "query": query, "refId": name}, "definition": query}


def board(name):
    title, panels = BOARDS[name]
    restarts = "changes(process_start_time_seconds{@}[2m]) > 0".replace("@", CHOSEN)
    return {
        "uid": f"sotto-{name}", "title": f"Sotto: {title}", "tags": ["sotto"], "schemaVersion": SCHEMA, "version": 1,
        "editable": True, "graphTooltip": 1, "refresh": "30s", "timezone": "browser",
        "time": {"from": "now-3h", "to": "now"},
        "links": [{"type": "dashboards", "title": "Sotto", "tags": ["sotto"], "asDropdown": False, "includeVars": True,
                   "keepTime": True}],
        "templating": {"list": [
            {"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus", "refresh": 1},
            choice("job", "Job", "label_values(sotto_calls_on_air, job)"),
            choice("instance", "Server", 'label_values(sotto_calls_on_air{job=~"$job"}, instance)'),
        ]},
        "annotations": {"list": [{
            "name": "Restarts", "datasource": SOURCE, "enable": True, "iconColor": "orange",
            "target": {"refId": "Restarts", "expr": restarts, "interval": "1m"},
            "titleFormat": "restart of {{instance}}",
        }]},
        "panels": laid_out(panels),
    }


def text(name):
    return json.dumps(board(name), indent=1, ensure_ascii=False) + "\n"


def expressions():
    return [target["expr"] for _, panels in BOARDS.values() for each in panels for target in each["targets"]]


# --- checks


def defined():
    """Names of metrics in the Rust sources, by the string literals that hold them."""
    sources = [path for path in ROOT.glob("**/*.rs") if "target" not in path.relative_to(ROOT).parts]
    return {name for path in sources for name in re.findall(r'"(sotto_[a-z_]+)"', path.read_text())}


def wrong():
    for name in BOARDS:
        file = HERE / f"sotto-{name}.json"
        if not file.exists() or file.read_text() != text(name):
            yield f"{file.name} is out of date; run dashboards/grafana/generate.py"
    rules, tests, runbooks = (
        (ROOT / path).read_text()
        for path in ("dashboards/alerts/sotto.yaml", "dashboards/alerts/sotto_test.yaml", "docs/runbooks.md"))
    known = defined() | {f"process_{name}" for name in PROCESS}
    for metric in sorted(set(re.findall(r"\b(?:sotto|process)_[a-z_]+", "\n".join([*expressions(), rules])))):
        if not {metric, re.sub("_(bucket|sum|count)$", "", metric)} & known:
            yield f"no source defines {metric}"
    headings = {heading.lower() for heading in re.findall(r"^#+ (\w+)$", runbooks, re.MULTILINE)}
    numbers = {f"d/sotto-{name}?viewPanel={each['id']}" for name, (_, panels) in BOARDS.items() for each in panels}
    for name, body in re.findall(r"- alert: (\w+)\n(.*?)(?=- alert:|- record:|\Z)", rules, re.DOTALL):
        if f"runbook_url: docs/runbooks.md#{name.lower()}\n" not in body or name.lower() not in headings:
            yield f"{name} has no runbook"
        if not numbers & set(re.findall(r"dashboard: (\S+)", body)):
            yield f"{name} has no panel"
        if f'alertname="{name}"' not in tests:
            yield f"{name} has no test"


def main(arguments):
    if arguments == ["--expressions"]:
        rules = [{"record": f"query_{n}", "expr": expression.replace("$__rate_interval", "5m")}
                 for n, expression in enumerate(expressions())]
        print(json.dumps({"groups": [{"name": "boards", "rules": rules}]}))
    elif arguments == ["--check"]:
        found = list(wrong())
        for line in found:
            print(f"boards: {line}", file=sys.stderr)
        return 1 if found else 0
    elif arguments:
        print(__doc__, file=sys.stderr)
        return 2
    else:
        for name in BOARDS:
            (HERE / f"sotto-{name}.json").write_text(text(name))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
