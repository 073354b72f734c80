package main

import (
	"context"
	"database/sql"
	"net/url"

	"github.com/dtm-labs/client/dtmcli"
	"github.com/dtm-labs/client/dtmgrpc"
	"github.com/dtm-labs/client/dtmgrpc/dtmgimp"
	"github.com/go-resty/resty/v2"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// xaWire runs an XA transaction whose branches are local transactions of databases: `<account>/xa` of each front.
type xaWire struct {
	name   string
	gid    func(w *world) string
	global func(w *world, gid string, amount int64, alice, bob *front) error
}

var xaWires = []xaWire{
	{"http ", func(w *world) string { return dtmcli.MustGenGid(w.http) }, xaOverHTTP},
	{"grpc ", func(w *world) string { return dtmgrpc.MustGenGid(w.grpc) }, xaOverGRPC},
}

func xaScenarios(kind string) []scenario {
	var all []scenario
	for _, wire := range xaWires {
		wire := wire
		all = append(all,
			scenario{wire.name + "xa ok " + kind, []string{kind}, func(w *world) string { return xaOK(w, wire, kind) }},
			scenario{
				wire.name + "xa rollback " + kind, []string{kind},
				func(w *world) string { return xaRollback(w, wire, kind) },
			})
	}
	return all
}

func xaAcross() scenario {
	return scenario{"xa mysql to postgres", []string{"mysql", "postgres"}, func(w *world) string {
		for _, wire := range xaWires {
			alice, bob := openXa(w.databases["mysql"], 100, 0), openXa(w.databases["postgres"], 0, 50)
			gid := wire.gid(w)
			must(wire.global(w, gid, 30, alice, bob))
			w.succeeds(gid)
			expect("accounts of one", alice.state(), accounts{70, 0, 0})
			expect("accounts of the other", bob.state(), accounts{0, 80, 0})

			gid = wire.gid(w)
			refused(wire.global(w, gid, 30, alice, bob), limitReason)
			w.settles(gid, dtmcli.StatusFailed)
			expect("accounts of one", alice.state(), accounts{70, 0, 0})
			expect("accounts of the other", bob.state(), accounts{0, 80, 0})
			alice.close()
			bob.close()
		}
		return "from MariaDB to PostgreSQL, and another time nowhere"
	}}
}

func xaOK(w *world, wire xaWire, kind string) string {
	f, gid := openXa(w.databases[kind], 100, 0), wire.gid(w)
	defer f.close()
	must(wire.global(w, gid, 30, f, f))
	w.succeeds(gid)
	expect("calls", f.seen(gid), []string{"alice action", "bob action", "alice commit", "bob commit"})
	expect("accounts", f.state(), accounts{70, 30, 0})
	return "alice has 70 and bob 30"
}

func xaRollback(w *world, wire xaWire, kind string) string {
	f, gid := openXa(w.databases[kind], 100, 90), wire.gid(w)
	defer f.close()
	refused(wire.global(w, gid, 30, f, f), limitReason)
	w.settles(gid, dtmcli.StatusFailed)
	// Bob's database took nothing, so there is nothing to undo there.
	expect("calls", f.seen(gid), []string{"alice action", "bob action", "alice rollback"})
	expect("accounts", f.state(), accounts{100, 90, 0})
	return "bob refused, alice's prepared transaction was rolled back"
}

// openXa serves a ledger whose branches are XA transactions; in phase two they are called at the same place.
func openXa(link string, alice, bob int64) *front {
	l := openLedger(link, alice, bob)
	f := open(l)
	for _, account := range []string{"alice", "bob"} {
		account := account
		f.route("/"+account+"/xa", func(query url.Values, body []byte) error {
			f.record(query.Get("gid"), account+" "+query.Get("op"))
			amount, err := amountOf(body)
			if err != nil {
				return err
			}
			return dtmcli.XaLocalTransaction(query, l.conf, func(db *sql.DB, _ *dtmcli.Xa) error {
				return l.change(db, account, "action", amount)
			})
		})
		f.method("/bank."+account+"/xa", func(ctx context.Context, amount int64) error {
			base := dtmgimp.TransBaseFromGrpc(ctx)
			f.record(base.Gid, account+" "+base.Op)
			return dtmgrpc.XaLocalTransaction(ctx, l.conf, func(db *sql.DB, _ *dtmgrpc.XaGrpc) error {
				return l.change(db, account, "action", amount)
			})
		})
	}
	return f
}

func xaOverHTTP(w *world, gid string, amount int64, alice, bob *front) error {
	return dtmcli.XaGlobalTransaction2(w.http, gid, func(x *dtmcli.Xa) { paced(&x.TransBase) },
		func(x *dtmcli.Xa) (*resty.Response, error) {
			resp, err := x.CallBranch(transfer{-amount}, alice.url("alice", "xa"))
			if err != nil {
				return resp, err
			}
			return x.CallBranch(transfer{amount}, bob.url("bob", "xa"))
		})
}

func xaOverGRPC(w *world, gid string, amount int64, alice, bob *front) error {
	return dtmgrpc.XaGlobalTransaction2(w.grpc, gid, func(x *dtmgrpc.XaGrpc) { paced(&x.TransBase) },
		func(x *dtmgrpc.XaGrpc) error {
			err := x.CallBranch(wrapperspb.Int64(-amount), alice.target("alice", "xa"), &emptypb.Empty{})
			if err != nil {
				return err
			}
			return x.CallBranch(wrapperspb.Int64(amount), bob.target("bob", "xa"), &emptypb.Empty{})
		})
}
