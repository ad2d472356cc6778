"""A hub of our own for test_models.py: `python hub.py FOLDER NAME...` loads models from it and prints what came of it.

In FOLDER it makes the model tiny/model; gated/model wants its terms accepted; there are no others.
"""

import http.server
import json
import os
import sys
import threading
import time
from pathlib import Path

COMMIT = "0" * 40


class Hub(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        path = self.path.partition("?")[0]
        file = Path(sys.argv[1], path.rpartition("/")[2])
        if path.startswith("/api/models/") and path[12:].startswith(("tiny/model", "gated/model")):
            name = "/".join(path[12:].split("/")[:2])
            files = [{"rfilename": file.name} for file in Path(sys.argv[1]).iterdir()]
            listed = [
                {"type": "file", "path": file.name, "size": file.stat().st_size, "oid": "0"}
                for file in Path(sys.argv[1]).iterdir()
            ]
            info = {"id": name, "modelId": name, "sha": COMMIT, "siblings": files, "tags": [], "private": False}
            self.answer(200, json.dumps(listed if "/tree/" in path else info).encode())
        elif path.startswith("/gated/model/resolve/"):
            self.answer(
                403, b"", {"X-Error-Code": "GatedRepo", "X-Error-Message": "Access to this model is restricted."}
            )
        elif not path.startswith("/tiny/model/"):
            self.answer(404, b"", {"X-Error-Code": "RepoNotFound"})
        elif not file.exists():
            self.answer(404, b"", {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": COMMIT})
        else:
            self.answer(200, file.read_bytes(), {"X-Repo-Commit": COMMIT, "ETag": f'"{file.name}"'})

    do_HEAD = do_GET

    def answer(self, status, content, headers=()):
        self.send_response(status)
        for name, value in {"Content-Length": len(content), **dict(headers)}.items():
            self.send_header(name, str(value))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)

    def log_message(self, *_):
        pass


if __name__ == "__main__":
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    os.environ |= {"HF_ENDPOINT": f"http://127.0.0.1:{server.server_port}", "HF_HUB_OFFLINE": "0", "no_proxy": "*"}
    os.environ["HF_HUB_DISABLE_XET"] = "1"
    time.sleep = lambda seconds: None  # the hub's client waits between its tries, 45 seconds in all

    from conftest import tiny_model

    import minirl

    tiny_model().save_pretrained(sys.argv[1])
    minirl.toy_tokenizer(minirl.toy_problems("train")).save_pretrained(sys.argv[1])
    for name in sys.argv[2:]:
        if name == "--off":
            server.shutdown()
            server.server_close()
            continue
        try:
            policy = minirl.load_policy(name)
            print(f"{name}: {policy.prompt_style}")
        except minirl.UsageError as error:
            print(error)
