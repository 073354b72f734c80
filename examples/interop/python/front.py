"""A participant's web server: every call of a branch goes to a book, which does the business, and is written down."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from dtmcli import utils

# What a call can be told to do instead of the usual, see `Front.script`.
BUSY = "do nothing and answer that it is not finished"
LOST = "do it, and let the answer be an error"


class Refused(utils.DTMFailureError):
    """A business "no"."""


class Call:
    """One call of a branch: `/<account>/<op>?gid=..&trans_type=..&branch_id=..&op=..` with an amount in its body."""

    def __init__(self, path, query, body):
        self.account, self.op = path.strip("/").split("/")
        self.gid, self.trans_type = query["gid"], query["trans_type"]
        self.branch_id = query["branch_id"]
        self.amount = json.loads(body)["amount"] if body else 0
        if query["op"] != self.op:
            raise ValueError(f"{path} was called for op {query['op']}")


class Front:
    """Serves a book on a free port until it is closed."""

    def __init__(self, book):
        self.book = book
        self.lock = threading.Lock()
        self.calls, self.scripts = {}, {}
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.server.shutdown()
        self.server.server_close()

    def url(self, account, op):
        return f"http://127.0.0.1:{self.server.server_port}/{account}/{op}"

    def check_url(self):
        """Where the coordinator asks whether a message's local transaction was committed."""
        return self.url("sender", "msg")

    def seen(self, gid):
        """What was called for a transaction, in order: `alice action` and so on."""
        with self.lock:
            return list(self.calls.get(gid, []))

    def script(self, gid, call, *deviations):
        """The first calls of this name go otherwise than usual."""
        self.scripts[gid, call] = list(deviations)

    def _handle(self, call):
        name = f"{call.account} {call.op}"
        with self.lock:
            self.calls.setdefault(call.gid, []).append(name)
            script = self.scripts.get((call.gid, name))
            deviation = script.pop(0) if script else None
        if deviation == BUSY:
            return 425, {"dtm_result": "ONGOING"}
        try:
            if call.op == "msg":
                self.book.check(call)
            else:
                self.book.apply(call)
        except utils.DTMFailureError as refusal:
            return 409, {"dtm_result": "FAILURE", "message": str(refusal)}
        if deviation == LOST:
            return 500, {"message": "out of order"}
        return 200, {"dtm_result": "SUCCESS"}

    def _handler(self):
        front = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                url = urlsplit(self.path)
                query = {key: values[0] for key, values in parse_qs(url.query).items()}
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                try:
                    status, answer = front._handle(Call(url.path, query, body))
                except Exception as error:  # whatever it was, the caller must not take it for a "no"
                    status, answer = 500, {"message": repr(error)}
                text = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            do_GET = do_POST

            def log_message(self, *arguments):
                pass

        return Handler
