package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"github.com/dtm-labs/client/dtmcli"
	"github.com/dtm-labs/client/dtmgrpc"
	"github.com/dtm-labs/client/dtmgrpc/dtmgimp"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// What a call can be told to do instead of the usual, see script.
const (
	busy = "do nothing and answer that it is not finished"
	lost = "do it, and let the answer be an error"
)

var errLost = errors.New("out of order")

// front is a participant: it serves a book over HTTP and gRPC on free ports, and writes down every call.
//
// Branches are `http://<address>/<account>/<op>` and `<address>/bank.<account>/<op>`. What is not of this form has a
// handler of its own.
type front struct {
	book
	httpAddr, grpcAddr string
	web                *http.Server
	rpc                *grpc.Server

	mu      sync.Mutex
	calls   map[string][]string
	scripts map[string][]string
	routes  map[string]route
	methods map[string]method
}

type route func(query url.Values, body []byte) error

type method func(ctx context.Context, amount int64) error

// open starts to serve. Whoever has more gRPC services adds them in `prepare`, while the server does not serve yet.
func open(b book, prepare ...func(*front)) *front {
	f := &front{
		book:    b,
		calls:   map[string][]string{},
		scripts: map[string][]string{},
		routes:  map[string]route{},
		methods: map[string]method{},
	}
	webListener, err := net.Listen("tcp", "127.0.0.1:0")
	must(err)
	rpcListener, err := net.Listen("tcp", "127.0.0.1:0")
	must(err)
	f.httpAddr, f.grpcAddr = webListener.Addr().String(), rpcListener.Addr().String()
	f.web = &http.Server{Handler: http.HandlerFunc(f.serveHTTP)}
	// A service with a protocol of its own has generated code for this; here every method takes an amount.
	f.rpc = grpc.NewServer(grpc.UnknownServiceHandler(f.serveGRPC))
	for _, prepare := range prepare {
		prepare(f)
	}
	go func() { _ = f.web.Serve(webListener) }()
	go func() { _ = f.rpc.Serve(rpcListener) }()
	return f
}

func (f *front) close() {
	_ = f.web.Close()
	f.rpc.Stop()
}

func (f *front) url(account, op string) string {
	return "http://" + f.httpAddr + "/" + account + "/" + op
}

func (f *front) target(account, op string) string {
	return f.grpcAddr + "/bank." + account + "/" + op
}

// route adds a handler for a path, method one for a gRPC method.
func (f *front) route(path string, handler route) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.routes[path] = handler
}

func (f *front) method(name string, handler method) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.methods[name] = handler
}

// script lets the first calls of a name (`alice action`) go otherwise than usual.
func (f *front) script(gid, name string, deviations ...string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.scripts[gid+name] = deviations
}

// seen is what was called for a transaction, in order.
func (f *front) seen(gid string) []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]string{}, f.calls[gid]...)
}

// record writes a call down and says how it deviates from the usual.
func (f *front) record(gid, name string) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls[gid] = append(f.calls[gid], name)
	script := f.scripts[gid+name]
	if len(script) == 0 {
		return ""
	}
	f.scripts[gid+name] = script[1:]
	return script[0]
}

// branch takes a call, whatever it came over.
func (f *front) branch(c call) error {
	deviation := f.record(c.gid, c.account+" "+c.op)
	if deviation == busy {
		return fmt.Errorf("not finished. %w", dtmcli.ErrOngoing)
	}
	var err error
	if c.op == "msg" {
		err = f.check(c)
	} else {
		err = f.apply(c)
	}
	if err == nil && deviation == lost {
		err = errLost
	}
	return err
}

func (f *front) serveHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err == nil && r.URL.Path == "/json-rpc" {
		f.serveJSONRPC(w, body)
		return
	}
	if err == nil {
		f.mu.Lock()
		handler := f.routes[r.URL.Path]
		f.mu.Unlock()
		if handler == nil {
			handler = func(query url.Values, body []byte) error { return f.httpBranch(r.URL.Path, query, body) }
		}
		err = handler(r.URL.Query(), body)
	}
	status, answer := dtmcli.Result2HttpJSON(dtmcli.MapSuccess)
	if err != nil {
		status, answer = dtmcli.Result2HttpJSON(err)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(answer)
}

func (f *front) httpBranch(path string, query url.Values, body []byte) error {
	parts := strings.Split(strings.Trim(path, "/"), "/")
	if len(parts) != 2 {
		return fmt.Errorf("no such branch: %s", path)
	}
	amount, err := amountOf(body)
	if err != nil {
		return err
	}
	c := call{
		gid: query.Get("gid"), transType: query.Get("trans_type"), branch: query.Get("branch_id"), op: parts[1],
		account: parts[0], amount: amount,
	}
	return f.known(c, query.Get("op"))
}

func (f *front) serveGRPC(_ interface{}, stream grpc.ServerStream) error {
	full, _ := grpc.MethodFromServerStream(stream)
	amount := &wrapperspb.Int64Value{}
	if err := stream.RecvMsg(amount); err != nil {
		return err
	}
	f.mu.Lock()
	handler := f.methods[full]
	f.mu.Unlock()
	if handler == nil {
		handler = func(ctx context.Context, amount int64) error { return f.grpcBranch(ctx, full, amount) }
	}
	if err := handler(stream.Context(), amount.Value); err != nil {
		return dtmgrpc.DtmError2GrpcError(err)
	}
	return stream.SendMsg(&emptypb.Empty{})
}

func (f *front) grpcBranch(ctx context.Context, full string, amount int64) error {
	parts := strings.Split(strings.TrimPrefix(full, "/bank."), "/")
	if len(parts) != 2 {
		return fmt.Errorf("no such method: %s", full)
	}
	base := dtmgimp.TransBaseFromGrpc(ctx)
	c := call{
		gid: base.Gid, transType: base.TransType, branch: base.BranchID, op: parts[1],
		account: parts[0], amount: amount,
	}
	return f.known(c, base.Op)
}

// known wants calls to say who they are, and the op to be the one that the place they come to is for. Workflows have
// phases instead of ops.
func (f *front) known(c call, op string) error {
	if c.gid == "" || c.branch == "" || (op != c.op && c.transType != "workflow") {
		return fmt.Errorf("a call of %s %s that says op %q of branch %q of %q", c.account, c.op, op, c.branch, c.gid)
	}
	return f.branch(c)
}

func amountOf(body []byte) (int64, error) {
	var t transfer
	if len(body) == 0 {
		return 0, nil
	}
	err := json.Unmarshal(body, &t)
	return t.Amount, err
}
