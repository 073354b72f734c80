"""Alice's and Bob's accounts in MariaDB or MySQL, behind the client's barrier."""

from contextlib import contextmanager
from urllib.parse import urlsplit

import pymysql
from bank import LIMIT, LIMIT_REASON
from dtmcli import barrier
from front import Refused

# As the client wants it: it is in this database, and by this name.
BARRIER = """
CREATE TABLE IF NOT EXISTS dtm_barrier.barrier (
    id BIGINT AUTO_INCREMENT PRIMARY KEY,
    trans_type VARCHAR(45) NOT NULL DEFAULT '',
    gid VARCHAR(128) NOT NULL DEFAULT '',
    branch_id VARCHAR(128) NOT NULL DEFAULT '',
    op VARCHAR(45) NOT NULL DEFAULT '',
    barrier_id VARCHAR(45) NOT NULL DEFAULT '',
    reason VARCHAR(45) NOT NULL DEFAULT '',
    create_time DATETIME NOT NULL DEFAULT CURRENT_TIMESTAMP,
    update_time DATETIME NOT NULL DEFAULT CURRENT_TIMESTAMP,
    UNIQUE KEY (gid, branch_id, op, barrier_id)
)"""

ACCOUNT = "CREATE TABLE IF NOT EXISTS account (name VARCHAR(20) PRIMARY KEY, balance INT NOT NULL, held INT NOT NULL)"


class Ledger:
    """A book in a database: of what barriers let through, every call has its effect."""

    def __init__(self, url):
        parts = urlsplit(url)
        self.login = {
            "host": parts.hostname,
            "port": parts.port or 3306,
            "user": parts.username,
            "password": parts.password or "",
            "database": parts.path.strip("/"),
        }
        with self.cursor() as cursor:
            for sql in ("CREATE DATABASE IF NOT EXISTS dtm_barrier", BARRIER, ACCOUNT):
                cursor.execute(sql)
            cursor.execute("REPLACE INTO account VALUES ('alice', 100, 0), ('bob', 0, 0)")
            cursor.connection.commit()

    @contextmanager
    def cursor(self):
        connection = pymysql.connect(**self.login)
        try:
            with connection.cursor() as cursor:
                yield cursor
        finally:
            connection.close()

    def apply(self, call):
        with self.cursor() as cursor:
            guard = barrier.BranchBarrier(call.trans_type, call.gid, call.branch_id, call.op)
            guard.call(cursor, lambda cursor: change(cursor, call.account, call.op, call.amount))

    def check(self, call):
        with self.cursor() as cursor:
            barrier.BranchBarrier(call.trans_type, call.gid, call.branch_id, call.op).query_prepared(cursor)

    def set(self, account, balance):
        with self.cursor() as cursor:
            cursor.execute("UPDATE account SET balance = %s WHERE name = %s", (balance, account))
            cursor.connection.commit()

    def state(self):
        """What Alice has, what Bob has, and what is held back."""
        with self.cursor() as cursor:
            cursor.execute("SELECT balance, held FROM account ORDER BY name")
            (alice, alice_held), (bob, bob_held) = cursor.fetchall()
            return alice, bob, alice_held + bob_held


def change(cursor, account, op, amount):
    """What an op does to an account; the barrier sees to repetitions and to the undoing of what was never done."""
    taken, given = min(amount, 0), max(amount, 0)
    balance, held = {
        "action": (amount, 0),
        "compensate": (-amount, 0),
        "try": (taken, -taken),
        "confirm": (given, taken),
        "cancel": (-taken, taken),
    }[op]
    cursor.execute("SELECT balance FROM account WHERE name = %s FOR UPDATE", (account,))
    (before,) = cursor.fetchone()
    if op in ("action", "try") and not 0 <= before + amount <= LIMIT:
        raise Refused(LIMIT_REASON)
    sql = "UPDATE account SET balance = balance + %s, held = held + %s WHERE name = %s"
    cursor.execute(sql, (balance, held, account))
