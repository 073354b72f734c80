package main

import (
	"net/url"

	"github.com/dtm-labs/client/dtmcli"
	"github.com/go-resty/resty/v2"
)

// overHTTP is the client's package dtmcli.
type overHTTP struct{}

func (overHTTP) name() string { return "http " }

func (overHTTP) gid(w *world) string { return dtmcli.MustGenGid(w.http) }

func (overHTTP) saga(w *world, f *front, gid string, changes []change) saga {
	s := dtmcli.NewSaga(w.http, gid)
	paced(&s.TransBase)
	for _, c := range changes {
		s.Add(f.url(c.account, "action"), f.url(c.account, "compensate"), transfer{c.amount})
	}
	return saga{s, s.Submit}
}

func (overHTTP) message(w *world, f *front, gid string, amount int64) message {
	m := dtmcli.NewMsg(w.http, gid).Add(f.url("bob", "action"), transfer{amount})
	paced(&m.TransBase)
	return message{m, m.Prepare, m.Submit, m.DoAndSubmit}
}

func (overHTTP) checkURL(f *front) string { return f.url("sender", "msg") }

func (overHTTP) tcc(w *world, f *front, gid string, amount int64) error {
	return dtmcli.TccGlobalTransaction2(w.http, gid, func(t *dtmcli.Tcc) { paced(&t.TransBase) },
		func(t *dtmcli.Tcc) (*resty.Response, error) {
			resp, err := httpTry(t, f, "alice", "try", -amount)
			if err != nil {
				return resp, err
			}
			return httpTry(t, f, "bob", "try", amount)
		})
}

// nestedTcc tries Alice, who tries Bob.
func (overHTTP) nestedTcc(w *world, f *front, gid string, amount int64) error {
	f.route("/alice/nested", func(query url.Values, body []byte) error {
		if err := f.httpBranch("/alice/try", query, body); err != nil {
			return err
		}
		t, err := dtmcli.TccFromQuery(query)
		if err == nil {
			_, err = httpTry(t, f, "bob", "try", amount)
		}
		return err
	})
	return dtmcli.TccGlobalTransaction2(w.http, gid, func(t *dtmcli.Tcc) { paced(&t.TransBase) },
		func(t *dtmcli.Tcc) (*resty.Response, error) { return httpTry(t, f, "alice", "nested", -amount) })
}

func httpTry(t *dtmcli.Tcc, f *front, account, try string, amount int64) (*resty.Response, error) {
	return t.CallBranch(transfer{amount}, f.url(account, try), f.url(account, "confirm"), f.url(account, "cancel"))
}
