"""An S3 server for the tests: moto's S3 behind a door that checks signatures, makes each request atomic, and breaks on demand.

It prints its port and ends when its standard input ends. Each bucket has its own faults:
PUT /_faults/BUCKET with {"kind": "500" | "slow_down" | "hang" | "lose_answer" | "full", "method": ..., "key": ..., "times": ...};
DELETE /_faults/BUCKET clears them. PUT /_bucket/BUCKET creates a bucket. GET /_state/BUCKET returns its keys, the number of its
unfinished multipart uploads and the number of requests so far. GET /_log/BUCKET returns these requests.
"""

import collections
import datetime
import hashlib
import hmac
import io
import json
import os
import socket
import sys
import threading
import urllib.parse

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from moto.s3.models import s3_backends
from werkzeug.serving import WSGIRequestHandler, make_server

KEY, SECRET = os.environ["S3_KEY"], os.environ["S3_SECRET"]
ACCOUNT = "123456789012"

faults, requests, lock = {}, collections.Counter(), threading.RLock()
log = collections.defaultdict(list)
changed = threading.Condition()


def xml(code, message):
    return f'<?xml version="1.0" encoding="UTF-8"?><Error><Code>{code}</Code><Message>{message}</Message></Error>'.encode()


def hashed(key, text):
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def pairs(query):
    return urllib.parse.parse_qsl(query, keep_blank_values=True)


def problem(environ):
    """Checks AWS Signature Version 4, in the header or in the URL. Returns the code of what is wrong."""
    raw = urllib.parse.urlsplit(environ["RAW_URI"])
    query = pairs(raw.query)
    values = dict(query)
    header = environ.get("HTTP_AUTHORIZATION", "")
    if header.startswith("AWS4-HMAC-SHA256 "):
        parts = dict(part.strip().split("=", 1) for part in header.split(" ", 1)[1].split(","))
        credential, signed, signature = parts["Credential"], parts["SignedHeaders"], parts["Signature"]
        moment, payload = environ["HTTP_X_AMZ_DATE"], environ["HTTP_X_AMZ_CONTENT_SHA256"]
    elif "X-Amz-Signature" in values:
        credential, signed, signature = (values[f"X-Amz-{name}"] for name in ("Credential", "SignedHeaders", "Signature"))
        moment, payload = values["X-Amz-Date"], "UNSIGNED-PAYLOAD"
        query = [(name, value) for name, value in query if name != "X-Amz-Signature"]
        made = datetime.datetime.strptime(moment, "%Y%m%dT%H%M%SZ").replace(tzinfo=datetime.timezone.utc)
        if datetime.datetime.now(datetime.timezone.utc) > made + datetime.timedelta(seconds=int(values["X-Amz-Expires"])):
            return "AccessDenied"
    else:
        return "AccessDenied"
    key, day, region, service, _ = credential.split("/")
    if key != KEY:
        return "InvalidAccessKeyId"

    def value(name):
        special = {"content-type": "CONTENT_TYPE", "content-length": "CONTENT_LENGTH"}
        return " ".join(environ.get(special.get(name, "HTTP_" + name.upper().replace("-", "_")), "").split())

    quote = lambda text: urllib.parse.quote(text, safe="-_.~")
    canonical = "\n".join([
        environ["REQUEST_METHOD"],
        raw.path,
        "&".join(sorted(f"{quote(name)}={quote(text)}" for name, text in query)),
        "".join(f"{name}:{value(name)}\n" for name in signed.split(";")),
        signed,
        payload,
    ])
    scope = f"{day}/{region}/{service}/aws4_request"
    text = "\n".join(["AWS4-HMAC-SHA256", moment, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    signing = hashed(hashed(hashed(hashed(b"AWS4" + SECRET.encode(), day), region), service), "aws4_request")
    right = hmac.new(signing, text.encode(), hashlib.sha256).hexdigest()
    return None if hmac.compare_digest(right, signature) else "SignatureDoesNotMatch"


def fault_of(bucket, method, key):
    """Takes the fault that applies to a request."""
    fault = faults.get(bucket)
    if not fault or fault.get("method", method) != method or fault.get("key", "") not in key:
        return None
    if "times" in fault:
        if fault["times"] == 0:
            return None
        fault["times"] -= 1
    return fault["kind"]


def control(environ, body, respond):
    _, verb, bucket = environ["PATH_INFO"].split("/", 2)
    answer = {}
    with lock, changed:
        if verb == "_faults":
            faults.pop(bucket, None)
            if environ["REQUEST_METHOD"] == "PUT":
                faults[bucket] = json.loads(body)
            changed.notify_all()
        elif verb == "_bucket":
            s3_backends[ACCOUNT]["aws"].create_bucket(bucket, "us-east-1")
        elif verb == "_state":
            kept = s3_backends[ACCOUNT]["aws"].buckets[bucket]
            answer = {
                "keys": sorted(kept.keys.keys()),
                "multiparts": len(kept.multiparts),
                "requests": {name.split(" ", 1)[1]: n for name, n in requests.items() if name.startswith(bucket + " ")},
            }
        elif verb == "_log":
            answer = log[bucket]
    respond("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(answer).encode()]


class Door:
    """What stands before moto."""

    def __init__(self, app):
        self.app = app

    def __call__(self, environ, respond):
        length = int(environ.get("CONTENT_LENGTH") or 0)
        body = environ["wsgi.input"].read(length)
        environ["wsgi.input"] = io.BytesIO(body)
        path = environ["PATH_INFO"]
        if path.startswith("/_"):
            return control(environ, body, respond)
        _, bucket, *key = path.split("/", 2)
        key, method = key[0] if key else "", environ["REQUEST_METHOD"]

        def refuse(status, code):
            content = xml(code, f"{code} of the test server")
            respond(status, [("Content-Type", "application/xml"), ("Content-Length", str(len(content)))])
            return [b"" if method == "HEAD" else content]

        with lock:
            requests[f"{bucket} {method}"] += 1
            requests[f"{bucket} {method} part"] += "/part-" in key
            range_, query = environ.get("HTTP_RANGE", ""), environ.get("QUERY_STRING", "")
            log[bucket].append({"method": method, "key": key, "range": range_, "query": query})
            fault = fault_of(bucket, method, key)
        if fault == "500":
            return refuse("500 Internal Server Error", "InternalError")
        if fault == "slow_down":
            return refuse("503 Slow Down", "SlowDown")
        if fault == "full":
            return refuse("507 Insufficient Storage", "XMinioStorageFull")
        if fault == "hang":
            with changed:
                changed.wait_for(lambda: bucket not in faults)
            return self.cut(environ)
        wrong = problem(environ)
        if wrong:
            return refuse("403 Forbidden", wrong)
        # One request at a time: moto looks at a condition and then writes.
        with lock:
            begun = []
            answer = b"".join(self.app(environ, lambda *arguments: begun.append(arguments)))
        if fault == "lose_answer":
            return self.cut(environ)
        respond(*begun[0])
        return [answer]

    @staticmethod
    def cut(environ):
        environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
        raise ConnectionError("cut")


class Handler(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def log(self, *_):
        pass


server = make_server("127.0.0.1", 0, Door(DomainDispatcherApplication(create_backend_app)), threaded=True, request_handler=Handler)
print(server.server_port, flush=True)
threading.Thread(target=server.serve_forever, daemon=True).start()
sys.stdin.read()
os._exit(0)
