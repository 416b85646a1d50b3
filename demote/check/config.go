package check

import (
	"errors"
	"time"
)

// A Demoter takes contributions to a demotion: n is what cause contributes
// from now on, 0 is nothing. *demote.Counter and *demote.Member are Demoters.
type Demoter interface {
	Set(cause string, n int)
}

// Start is what a check contributes before it knows anything.
type Start int

const (
	// StartDemoted demotes until the check has first proven good: a host does
	// not take over on trust.
	StartDemoted Start = iota
	// StartClear does not demote until the check has first proven bad: a
	// restart of the program does not move a healthy master.
	StartClear
)

// End is what becomes of the contribution when Run ends.
type End int

const (
	// EndClear removes it: a check that does not run says nothing.
	EndClear End = iota
	// EndKeep leaves it as it is, for whoever set up the check to remove, or
	// for another Run of the same cause, which replaces it according to its
	// Start. With it, a program that stops does not become attractive between
	// the end of its checks and that of its virtual hosts.
	EndKeep
)

// A Config is what all checks have in common.
type Config struct {
	Demoter Demoter // required
	Cause   string  // name of the contribution, of no other check on Demoter; required
	By      int     // contribution while failing, 1 or more; 0: 1. FreeBSD's habit is 240

	// Hold is how long all must have been well before the contribution is
	// removed, counted from the last failure. It does not delay the first good
	// result after StartDemoted, before which there was no failure. 0: not at
	// all.
	Hold time.Duration

	Start Start
	End   End

	// OnChange, if not nil, is called in the goroutine of Run after the first
	// verdict and whenever it changes: with the reason when the check fails,
	// with nil when it is well.
	OnChange func(err error)
}

func (c *Config) validate() error {
	var errs []error
	bad := func(is bool, what string) {
		if is {
			errs = append(errs, errors.New("check: "+c.Cause+": "+what))
		}
	}
	bad(c.Demoter == nil, "Demoter is nil")
	bad(c.Cause == "", "Cause is empty")
	bad(c.By < 0, "By is below 0")
	bad(c.Hold < 0, "Hold is below 0")
	bad(c.Start < StartDemoted || c.Start > StartClear, "Start is unknown")
	bad(c.End < EndClear || c.End > EndKeep, "End is unknown")
	return errors.Join(errs...)
}

// A verdict is what a check has made of its results. Its methods may be called
// again with the same result; OnChange hears of the first.
type verdict struct {
	*Config
	failing bool
	given   bool // else failing is only Start's presumption
}

// begin makes the initial contribution. The caller defers end.
func (v *verdict) begin() {
	v.failing = v.Start == StartDemoted
	n := 0
	if v.failing {
		n = v.amount(nil)
	}
	v.Demoter.Set(v.Cause, n)
}

func (v *verdict) end() {
	if v.End == EndClear {
		v.Demoter.Set(v.Cause, 0)
	}
}

func (v *verdict) fail(err error) { v.give(v.amount(err), err) }

func (v *verdict) pass() { v.give(0, nil) }

func (v *verdict) give(n int, err error) {
	news := !v.given || v.failing != (err != nil)
	v.given, v.failing = true, err != nil
	v.Demoter.Set(v.Cause, n)
	if news && v.OnChange != nil {
		v.OnChange(err)
	}
}

// amount is the contribution because of err.
func (v *verdict) amount(err error) int {
	var f *Failure
	if errors.As(err, &f) && f.By > 0 {
		return f.By
	}
	return max(v.By, 1)
}
