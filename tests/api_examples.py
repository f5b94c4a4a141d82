"""An example for every call of the API, as curl lines in the order of one session.

`service/api.md` shows them, and a test runs them all. A call without an example fails that test:
add it here.
"""

import json
from dataclasses import dataclass

from tests import checkpoints

REQUEST = """{
  "class_names": [
    "cat", "dog", "horse", "cow", "sheep", "goat", "pig", "rabbit", "mouse", "squirrel",
    "hedgehog", "fox", "wolf", "bear", "deer", "otter", "seal", "dolphin", "whale", "bat"
  ],
  "add": ["okapi", {"name": "axolotl", "description": "a salamander that keeps its gills"}],
  "method": "ridge",
  "metadata": {"project": "zoo"}
}"""
ENDLESS = {"epochs": 100_000, "early_stop": False}
# What the lines find beside them.
FILES = {
    "request.json": REQUEST,
    "head.json": json.dumps({"class_names": json.loads(REQUEST)["class_names"]}),
    "long.json": json.dumps(checkpoints.request(method="icis", settings=ENDLESS)),
}


@dataclass(frozen=True)
class Example:
    """Lines that make one call: the status they end with, and what the output then holds.

    `keeps` names the shell variable that later lines find the answer's id in. `before` is such a
    variable, and lines that are run first and not shown.
    """

    operation: str
    lines: str
    status: int
    output: str = ""
    keeps: str = ""
    before: tuple[str, str] = ("", "")


API = "$HEADGRAFT_URL"
INJECTIONS = f"{API}/v1/injections"
ONE = f"{INJECTIONS}/$INJECTION"

EXAMPLES = (
    Example("isAlive", f"curl -sS {API}/healthz", 200, '"ok"'),
    Example("isReady", f"curl -sS {API}/readyz", 200, '"ok"'),
    Example("listMethods", f"curl -sS {API}/v1/methods", 200, '"name":"ridge"'),
    Example("listEncoders", f"curl -sS {API}/v1/encoders", 200, '"name":"minilm"'),
    Example(
        "createHead",
        f"curl -sS -F request=@head.json -F checkpoint=@net.safetensors {API}/v1/heads",
        201,
        '"class_count":20',
        keeps="HEAD",
    ),
    Example("listHeads", f'curl -sS "{API}/v1/heads?limit=5"', 200, '"id":"head_'),
    Example("getHead", f"curl -sS {API}/v1/heads/$HEAD", 200, '"weight":"fc.weight"'),
    Example(
        "createFeatures",
        f"curl -sS -F features=@pictures.safetensors {API}/v1/features",
        201,
        '"classes":20',
        keeps="FEATURES",
    ),
    Example("listFeatures", f"curl -sS {API}/v1/features", 200, '"object":"features"'),
    Example("getFeatures", f"curl -sS {API}/v1/features/$FEATURES", 200, '"count":100'),
    Example(
        "createInjection",
        "# The same lines again, after an answer that was lost, make no second injection.\n"
        'curl -sS -H "Idempotency-Key: zoo-1" -F request=@request.json \\\n'
        f"    -F checkpoint=@net.safetensors {INJECTIONS}",
        202,
        '"attempt":',  # a worker may begin it before the answer is written
        keeps="INJECTION",
    ),
    Example(
        "createInjection",
        "# A head that was uploaded before, waited for.\n"
        'curl -sS -H "Content-Type: application/json" -H "Prefer: wait=30" -d @- \\\n'
        f"    {INJECTIONS} <<END\n"
        '{"head_id": "$HEAD", "features_id": "$FEATURES", "add": ["okapi"], "method": "ridge"}\n'
        "END",
        200,
        '"status":"succeeded"',
    ),
    Example(
        "followInjection",
        "# Ends with the injection; Last-Event-ID goes on behind an event.\n"
        f"curl -sSN {ONE}/events",
        200,
        '"status": "succeeded"',
    ),
    Example("listEvents", f'curl -sS "{ONE}/events/list?limit=100"', 200, '"succeeded"'),
    Example("getInjection", f"curl -sS {ONE}", 200, '"status":"succeeded"'),
    Example(
        "listInjections",
        f"curl -sS -G {INJECTIONS} -d status=succeeded -d metadata=project=zoo",
        200,
        '"project":"zoo"',
    ),
    Example(
        "inspectHead",
        f"# The size and the sha256 of what would come.\ncurl -sSI {ONE}/head",
        200,
        "accept-ranges: bytes",
    ),
    Example(
        "downloadHead",
        "# The checkpoint; `-C -` goes on where an earlier try broke off. Then the head alone.\n"
        f"curl -sS -C - -o net+2.safetensors {ONE}/head\n"
        f'curl -sS -o head.onnx "{ONE}/head?format=onnx"\n'
        f'curl -sS "{ONE}/head?format=labels"',
        200,
        '"21": "axolotl"',
    ),
    Example("inspectReport", f"curl -sSI {ONE}/report", 200, "application/json"),
    Example(
        "readReport",
        f'curl -sS -o report.html "{ONE}/report?format=html"\ncurl -sS {ONE}/report',
        200,
        '"bit_identical": true',
    ),
    Example(
        "cancelInjection",
        f"curl -sS -X POST {INJECTIONS}/$LIVE/cancel",
        200,
        '"status":"cancelled"',
        before=(
            "LIVE",
            f"curl -sS -F request=@long.json -F checkpoint=@net.safetensors {INJECTIONS}",
        ),
    ),
    Example(
        "createWebhook",
        "# On this machine, as HEADGRAFT_WEBHOOK_ALLOW permits; else https:// and a public name.\n"
        'curl -sS -H "Content-Type: application/json" \\\n'
        """    -d '{"url": "http://127.0.0.1:8080/hook", "events": ["injection.succeeded"]}' \\\n"""
        f"    {API}/v1/webhooks",
        201,
        '"secret":"whsec_',
        keeps="WEBHOOK",
    ),
    Example("listWebhooks", f"curl -sS {API}/v1/webhooks", 200, '"id":"wh_'),
    Example("getWebhook", f"curl -sS {API}/v1/webhooks/$WEBHOOK", 200, '"injection.succeeded"'),
    Example(
        "rotateWebhook",
        'curl -sS -H "Content-Type: application/json" -d \'{"overlap_seconds": 3600}\' \\\n'
        f"    {API}/v1/webhooks/$WEBHOOK/rotate",
        200,
        '"secret":"whsec_',
    ),
    Example(
        "listDeliveries",
        f"curl -sS {API}/v1/webhooks/$WEBHOOK/deliveries",
        200,
        '"has_more":false',
    ),
    Example("deleteWebhook", f"curl -sS -X DELETE {API}/v1/webhooks/$WEBHOOK", 204),
    Example("deleteInjection", f"curl -sS -X DELETE {ONE}", 204),
    Example("deleteFeatures", f"curl -sS -X DELETE {API}/v1/features/$FEATURES", 204),
    Example("deleteHead", f"curl -sS -X DELETE {API}/v1/heads/$HEAD", 204),
)
