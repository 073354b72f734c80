package main

import (
	"context"

	"github.com/dtm-labs/client/dtmcli"
	"github.com/dtm-labs/client/dtmgrpc"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// overGRPC is the client's package dtmgrpc.
type overGRPC struct{}

func (overGRPC) name() string { return "grpc " }

func (overGRPC) gid(w *world) string { return dtmgrpc.MustGenGid(w.grpc) }

func (overGRPC) saga(w *world, f *front, gid string, changes []change) saga {
	s := dtmgrpc.NewSagaGrpc(w.grpc, gid)
	paced(&s.TransBase)
	for _, c := range changes {
		s.Add(f.target(c.account, "action"), f.target(c.account, "compensate"), wrapperspb.Int64(c.amount))
	}
	return saga{&s.Saga, s.Submit}
}

func (overGRPC) message(w *world, f *front, gid string, amount int64) message {
	m := dtmgrpc.NewMsgGrpc(w.grpc, gid).Add(f.target("bob", "action"), wrapperspb.Int64(amount))
	paced(&m.TransBase)
	doAndSubmit := func(checkURL string, local func(*dtmcli.BranchBarrier) error) error {
		return m.DoAndSubmit(checkURL, local)
	}
	return message{&m.Msg, m.Prepare, m.Submit, doAndSubmit}
}

func (overGRPC) checkURL(f *front) string { return f.target("sender", "msg") }

func (overGRPC) tcc(w *world, f *front, gid string, amount int64) error {
	return dtmgrpc.TccGlobalTransaction2(w.grpc, gid, func(t *dtmgrpc.TccGrpc) { paced(&t.TransBase) },
		func(t *dtmgrpc.TccGrpc) error {
			if err := grpcTry(t, f, "alice", "try", -amount); err != nil {
				return err
			}
			return grpcTry(t, f, "bob", "try", amount)
		})
}

// nestedTcc tries Alice, who tries Bob.
func (overGRPC) nestedTcc(w *world, f *front, gid string, amount int64) error {
	f.method("/bank.alice/nested", func(ctx context.Context, own int64) error {
		if err := f.grpcBranch(ctx, "/bank.alice/try", own); err != nil {
			return err
		}
		t, err := dtmgrpc.TccFromGrpc(ctx)
		if err != nil {
			return err
		}
		return grpcTry(t, f, "bob", "try", amount)
	})
	return dtmgrpc.TccGlobalTransaction2(w.grpc, gid, func(t *dtmgrpc.TccGrpc) { paced(&t.TransBase) },
		func(t *dtmgrpc.TccGrpc) error { return grpcTry(t, f, "alice", "nested", -amount) })
}

func grpcTry(t *dtmgrpc.TccGrpc, f *front, account, try string, amount int64) error {
	confirm, cancel := f.target(account, "confirm"), f.target(account, "cancel")
	return t.CallBranch(wrapperspb.Int64(amount), f.target(account, try), confirm, cancel, &emptypb.Empty{})
}
