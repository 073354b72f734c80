package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/dtm-labs/client/dtmcli"
	"github.com/dtm-labs/client/dtmcli/dtmimp"
)

// overJSONRPC is the client's package dtmcli with another protocol, for the calls to the coordinator and for those it
// makes.
type overJSONRPC struct{}

func (overJSONRPC) name() string { return "json-rpc " }

func (overJSONRPC) gid(w *world) string { return dtmcli.MustGenGid(w.http) }

func (j overJSONRPC) saga(w *world, f *front, gid string, changes []change) saga {
	s := dtmcli.NewSaga(w.jsonRPC(), gid)
	s.Protocol = dtmimp.Jrpc
	paced(&s.TransBase)
	for _, c := range changes {
		s.Add(j.url(f, c.account, "action"), j.url(f, c.account, "compensate"), transfer{c.amount})
	}
	return saga{s, s.Submit}
}

func (j overJSONRPC) message(w *world, f *front, gid string, amount int64) message {
	m := dtmcli.NewMsg(w.jsonRPC(), gid).Add(j.url(f, "bob", "action"), transfer{amount})
	m.Protocol = dtmimp.Jrpc
	paced(&m.TransBase)
	return message{m, m.Prepare, m.Submit, m.DoAndSubmit}
}

func (j overJSONRPC) checkURL(f *front) string { return j.url(f, "sender", "msg") }

func (overJSONRPC) url(f *front, account, op string) string {
	return "http://" + f.httpAddr + "/json-rpc?method=" + account + "." + op
}

// rpcRequest is what the coordinator sends to a branch.
type rpcRequest struct {
	ID     string `json:"id"`
	Method string `json:"method"`
	Params struct {
		transfer
		Gid       string `json:"gid"`
		TransType string `json:"trans_type"`
		BranchID  string `json:"branch_id"`
		Op        string `json:"op"`
	} `json:"params"`
}

// serveJSONRPC takes a branch as a call of `<account>.<op>`.
func (f *front) serveJSONRPC(w http.ResponseWriter, body []byte) {
	var request rpcRequest
	err := json.Unmarshal(body, &request)
	parts := strings.Split(request.Method, ".")
	if err == nil && len(parts) != 2 {
		err = fmt.Errorf("no such method: %s", request.Method)
	}
	if err == nil {
		p := request.Params
		c := call{
			gid: p.Gid, transType: p.TransType, branch: p.BranchID, op: parts[1],
			account: parts[0], amount: p.Amount,
		}
		err = f.known(c, p.Op)
	}
	answer := map[string]interface{}{"jsonrpc": "2.0", "id": request.ID}
	if err == nil {
		answer["result"] = dtmcli.MapSuccess
	} else {
		answer["error"] = map[string]interface{}{"code": rpcCode(err), "message": err.Error()}
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(answer)
}

func rpcCode(err error) int {
	switch {
	case errors.Is(err, dtmcli.ErrFailure):
		return dtmimp.JrpcCodeFailure
	case errors.Is(err, dtmcli.ErrOngoing):
		return dtmimp.JrpcCodeOngoing
	}
	return -32603
}
