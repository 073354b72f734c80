package main

import (
	"database/sql"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/dtm-labs/client/dtmcli"
	"github.com/dtm-labs/client/dtmcli/dtmimp"
	_ "github.com/go-sql-driver/mysql"
	_ "github.com/lib/pq"
)

// The tables as the client wants them: the barrier by this name, in PostgreSQL with a constraint of this name.
var tables = map[string]string{
	dtmcli.DBTypeMysql: `
CREATE DATABASE IF NOT EXISTS dtm_barrier;
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
);
CREATE TABLE IF NOT EXISTS account (
	ledger BIGINT NOT NULL,
	name VARCHAR(20) NOT NULL,
	balance INT NOT NULL,
	held INT NOT NULL,
	PRIMARY KEY (ledger, name)
)`,
	dtmcli.DBTypePostgres: `
CREATE SCHEMA IF NOT EXISTS dtm_barrier;
CREATE TABLE IF NOT EXISTS dtm_barrier.barrier (
	id BIGSERIAL PRIMARY KEY,
	trans_type VARCHAR(45) NOT NULL DEFAULT '',
	gid VARCHAR(128) NOT NULL DEFAULT '',
	branch_id VARCHAR(128) NOT NULL DEFAULT '',
	op VARCHAR(45) NOT NULL DEFAULT '',
	barrier_id VARCHAR(45) NOT NULL DEFAULT '',
	reason VARCHAR(45) NOT NULL DEFAULT '',
	create_time TIMESTAMPTZ NOT NULL DEFAULT now(),
	update_time TIMESTAMPTZ NOT NULL DEFAULT now(),
	CONSTRAINT uniq_barrier UNIQUE (gid, branch_id, op, barrier_id)
);
CREATE TABLE IF NOT EXISTS account (
	ledger BIGINT NOT NULL,
	name VARCHAR(20) NOT NULL,
	balance INT NOT NULL,
	held INT NOT NULL,
	PRIMARY KEY (ledger, name)
)`,
}

// ledger has the accounts in a database: of what the client's barrier lets through, every call has its effect.
type ledger struct {
	id   int64
	kind string
	conf dtmcli.DBConf
	db   *sql.DB
}

// lastLedger is the number of the newest ledger; a run finds no accounts of the one before.
var lastLedger = time.Now().UnixNano()

// openLedger opens two accounts in the tables of a database.
func openLedger(link string, alice, bob int64) *ledger {
	l := connect(link)
	l.id = atomic.AddInt64(&lastLedger, 1)
	l.exec("INSERT INTO account VALUES (?, 'alice', ?, 0), (?, 'bob', ?, 0)", l.id, alice, l.id, bob)
	return l
}

// createTables makes those that are missing. Databases do not like this done by two at once.
func createTables(link string) {
	l := connect(link)
	for _, statement := range strings.Split(tables[l.kind], ";") {
		l.exec(statement)
	}
}

func connect(link string) *ledger {
	parts, err := url.Parse(link)
	must(err)
	port, err := strconv.ParseInt(parts.Port(), 10, 64)
	must(err)
	password, _ := parts.User.Password()
	l := &ledger{kind: parts.Scheme}
	l.conf = dtmcli.DBConf{
		Driver: parts.Scheme, Host: parts.Hostname(), Port: port, User: parts.User.Username(), Password: password,
		Db: strings.Trim(parts.Path, "/"), Schema: "public",
	}
	l.db, err = dtmimp.PooledDB(l.conf)
	must(err)
	return l
}

func (l *ledger) exec(statement string, values ...interface{}) {
	_, err := dtmimp.DBExec(l.kind, l.db, statement, values...)
	must(err)
}

// placeholders writes a statement as the database wants it.
func (l *ledger) placeholders(statement string) string {
	return dtmimp.GetDBSpecial(l.kind).GetPlaceHoldSQL(statement)
}

func (l *ledger) barrier(c call) (*dtmcli.BranchBarrier, error) {
	barrier, err := dtmcli.BarrierFrom(c.transType, c.gid, c.branch, c.op)
	if err == nil {
		barrier.DBType = l.kind
	}
	return barrier, err
}

func (l *ledger) apply(c call) error {
	barrier, err := l.barrier(c)
	if err != nil {
		return err
	}
	return barrier.CallWithDB(l.db, func(tx *sql.Tx) error { return l.change(tx, c.account, c.op, c.amount) })
}

func (l *ledger) check(c call) error {
	barrier, err := l.barrier(c)
	if err != nil {
		return err
	}
	return barrier.QueryPrepared(l.db)
}

// change does to an account what an op does. Whether it may be done (again) is not asked here.
func (l *ledger) change(db dtmcli.DB, account, op string, amount int64) error {
	if op == "action" || op == "try" {
		var before int64
		question := "SELECT balance FROM account WHERE ledger = ? AND name = ? FOR UPDATE"
		if err := db.QueryRow(l.placeholders(question), l.id, account).Scan(&before); err != nil {
			return err
		}
		if before+amount < 0 || before+amount > limit {
			return errLimit(account)
		}
	}
	balance, held := effect(op, amount)
	statement := "UPDATE account SET balance = balance + ?, held = held + ? WHERE ledger = ? AND name = ?"
	_, err := dtmimp.DBExec(l.kind, db, statement, balance, held, l.id, account)
	return err
}

func (l *ledger) state() accounts {
	var a accounts
	row := l.db.QueryRow(l.placeholders(`SELECT
		SUM(CASE name WHEN 'alice' THEN balance END), SUM(CASE name WHEN 'bob' THEN balance END), SUM(held)
		FROM account WHERE ledger = ?`), l.id)
	must(row.Scan(&a.alice, &a.bob, &a.held))
	return a
}
