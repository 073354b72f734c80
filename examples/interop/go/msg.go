package main

import (
	"context"
	"fmt"
	"net/url"

	"github.com/dtm-labs/client/dtmcli"
	"github.com/dtm-labs/client/dtmgrpc"
	"github.com/dtm-labs/client/dtmgrpc/dtmgimp"
	"github.com/dtm-labs/client/dtmgrpc/dtmgpb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

func msgScenarios(wire wire) []scenario {
	return []scenario{
		{wire.name() + "msg ok", nil, func(w *world) string { return msgOK(w, wire) }},
		{wire.name() + "msg abort", nil, func(w *world) string { return msgAbort(w, wire) }},
		{wire.name() + "msg check yes", nil, func(w *world) string { return msgCheckYes(w, wire) }},
		{wire.name() + "msg check no", nil, func(w *world) string { return msgCheckNo(w, wire) }},
	}
}

func msgOK(w *world, wire wire) string {
	b, gid := newBank(100, 0), wire.gid(w)
	f := open(b)
	defer f.close()
	m := wire.message(w, f, gid, 30)
	m.TimeoutToFail = never
	must(m.doAndSubmit(wire.checkURL(f), func(*dtmcli.BranchBarrier) error {
		expect("status", w.query(gid).Status, dtmcli.StatusPrepared)
		b.send(gid, 30)
		return nil
	}))
	w.succeeds(gid)
	expect("calls", f.seen(gid), []string{"bob action"})
	expect("accounts", f.state(), accounts{70, 30, 0})
	return "prepared, sent, delivered"
}

func msgAbort(w *world, wire wire) string {
	f, gid := open(newBank(100, 0)), wire.gid(w)
	defer f.close()
	m := wire.message(w, f, gid, 30)
	m.TimeoutToFail = never
	failure(m.doAndSubmit(wire.checkURL(f), func(*dtmcli.BranchBarrier) error {
		return fmt.Errorf("alice changed her mind. %w", dtmcli.ErrFailure)
	}), "changed her mind")
	w.settles(gid, dtmcli.StatusFailed)
	expect("calls", f.seen(gid), []string{})
	expect("accounts", f.state(), accounts{100, 0, 0})
	return "the local transaction refused, nothing was delivered"
}

func msgCheckYes(w *world, wire wire) string {
	b, gid := newBank(100, 0), wire.gid(w)
	f := open(b)
	defer f.close()
	m := wire.message(w, f, gid, 30)
	m.TimeoutToFail = soon
	must(m.prepare(wire.checkURL(f)))
	b.send(gid, 30)
	// Here the initiator crashes, so nobody submits.
	w.succeeds(gid)
	expect("calls", f.seen(gid), []string{"sender msg", "bob action"})
	expect("accounts", f.state(), accounts{70, 30, 0})
	return "asked back, was told yes, delivered"
}

func msgCheckNo(w *world, wire wire) string {
	f, gid := open(newBank(100, 0)), wire.gid(w)
	defer f.close()
	m := wire.message(w, f, gid, 30)
	m.TimeoutToFail = soon
	must(m.prepare(wire.checkURL(f)))
	// Here the initiator crashes before it has done anything.
	w.settles(gid, dtmcli.StatusFailed)
	expect("calls", f.seen(gid), []string{"sender msg"})
	expect("accounts", f.state(), accounts{100, 0, 0})
	return "asked back, was told no, delivered nothing"
}

func topicScenarios() []scenario {
	return []scenario{
		{"http msg topic", nil, msgTopic},
		{"grpc msg topic", nil, grpcMsgTopic},
	}
}

func msgTopic(w *world) string {
	f, gid := open(newBank(0, 0)), dtmcli.MustGenGid(w.http)
	defer f.close()
	topic := "transfers-" + gid
	for _, account := range []string{"alice", "bob"} {
		query := url.Values{"topic": {topic}, "url": {f.url(account, "action")}, "remark": {account}}
		w.get("/subscribe?" + query.Encode())
	}
	return toTopic(w, f, gid, func() error {
		m := dtmcli.NewMsg(w.http, gid).AddTopic(topic, transfer{30})
		paced(&m.TransBase)
		return m.Submit()
	})
}

func grpcMsgTopic(w *world) string {
	f, gid := open(newBank(0, 0)), dtmgrpc.MustGenGid(w.grpc)
	defer f.close()
	topic, client := "grpc-transfers-"+gid, dtmgimp.MustGetDtmClient(w.grpc)
	for _, account := range []string{"alice", "bob"} {
		request := &dtmgpb.DtmTopicRequest{Topic: topic, URL: f.target(account, "action"), Remark: account}
		_, err := client.Subscribe(context.Background(), request)
		must(err)
	}
	return toTopic(w, f, gid, func() error {
		m := dtmgrpc.NewMsgGrpc(w.grpc, gid).AddTopic(topic, wrapperspb.Int64(30))
		paced(&m.TransBase)
		return m.Submit()
	})
}

// toTopic submits a message to a topic that both are subscribed to; a coordinator may take a moment to know of a topic.
func toTopic(w *world, f *front, gid string, submit func() error) string {
	eventually("submitting to the topic", func() (string, bool) {
		err := submit()
		return fmt.Sprint(err), err == nil
	})
	w.succeeds(gid)
	expect("calls", f.seen(gid), []string{"alice action", "bob action"})
	expect("accounts", f.state(), accounts{30, 30, 0})
	return "delivered to both subscribers"
}
