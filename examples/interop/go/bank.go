package main

import (
	"fmt"
	"sync"

	"github.com/dtm-labs/client/dtmcli"
)

const (
	limit       = 100
	limitReason = "at most 100"
)

// call is one call of a branch, whatever it came over.
type call struct {
	gid, transType, branch, op string
	account                    string
	amount                     int64
}

// transfer is the payload of a branch.
type transfer struct {
	Amount int64 `json:"amount"`
}

// accounts is what Alice has, what Bob has, and what is held back of both.
type accounts struct{ alice, bob, held int64 }

// book does the business of branches. A business "no" is an error that wraps dtmcli.ErrFailure.
type book interface {
	apply(call) error
	// check tells whether a message's local transaction was committed.
	check(call) error
	state() accounts
}

// bank has Alice's and Bob's accounts in memory. A call that is repeated has no second effect.
type bank struct {
	mu       sync.Mutex
	balances map[string]int64
	held     int64
	done     map[string]bool
	sent     map[string]bool
}

func newBank(alice, bob int64) *bank {
	return &bank{
		balances: map[string]int64{"alice": alice, "bob": bob},
		done:     map[string]bool{},
		sent:     map[string]bool{},
	}
}

func (b *bank) apply(c call) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.done[c.key(c.op)] {
		return nil
	}
	if err := b.change(c); err != nil {
		return err
	}
	b.done[c.key(c.op)] = true
	return nil
}

func (b *bank) change(c call) error {
	after := b.balances[c.account] + c.amount
	switch c.op {
	case "action", "try":
		if after < 0 || after > limit {
			return errLimit(c.account)
		}
	case "compensate":
		if !b.done[c.key("action")] {
			return nil
		}
	case "cancel":
		if !b.done[c.key("try")] {
			return nil
		}
	}
	balance, held := effect(c.op, c.amount)
	b.balances[c.account] += balance
	b.held += held
	return nil
}

// send is the local transaction of a message: Alice's money is on its way.
func (b *bank) send(gid string, amount int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.balances["alice"] -= amount
	b.sent[gid] = true
}

func (b *bank) check(c call) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.sent[c.gid] {
		return fmt.Errorf("nothing was sent. %w", dtmcli.ErrFailure)
	}
	return nil
}

func (b *bank) state() accounts {
	b.mu.Lock()
	defer b.mu.Unlock()
	return accounts{b.balances["alice"], b.balances["bob"], b.held}
}

func (c call) key(op string) string {
	return c.gid + "/" + c.branch + "/" + c.account + "/" + op
}

func errLimit(account string) error {
	return fmt.Errorf("%s takes %s. %w", account, limitReason, dtmcli.ErrFailure)
}

// effect is what an op does to an account and to what is held of it. What is taken is held until it is confirmed; what
// is given comes with that.
func effect(op string, amount int64) (balance, held int64) {
	taken, given := amount, int64(0)
	if amount > 0 {
		taken, given = 0, amount
	}
	switch op {
	case "action":
		return amount, 0
	case "compensate":
		return -amount, 0
	case "try":
		return taken, -taken
	case "confirm":
		return given, taken
	case "cancel":
		return -taken, taken
	}
	return 0, 0
}
