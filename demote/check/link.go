package check

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Errors of a [Link]: the reason of its failure, and the end of its feed.
var (
	ErrLinkDown = errors.New("link is down")
	ErrFeed     = errors.New("feed was closed")
)

// A Link demotes while a network interface is down, for an interface that
// carries no virtual host: a virtual host looks after the link of its own.
type Link struct {
	Config // Hold is how long the link must have been up to recover

	// Up is the feed: the state of the link, first when it is known, then when
	// it changes. Repeated states do no harm. Required.
	Up <-chan bool

	// Debounce is how long the link must be down before it demotes. It does
	// not delay the first state. 0: not at all.
	Debounce time.Duration
}

// Validate returns all that is wrong with l.
func (l *Link) Validate() error {
	err := l.validate()
	if l.Up == nil {
		err = errors.Join(err, fmt.Errorf("check: %s: Up is nil", l.Cause))
	}
	if l.Debounce < 0 {
		err = errors.Join(err, fmt.Errorf("check: %s: Debounce is below 0", l.Cause))
	}
	return err
}

// Run follows the feed until ctx is done, and then returns nil. It returns the
// error of Validate, or [ErrFeed] if the feed is closed: then nobody knows
// about the link any more, and End decides what is left of the contribution.
func (l *Link) Run(ctx context.Context) error {
	if err := l.Validate(); err != nil {
		return err
	}
	cfg := *l
	v := verdict{Config: &cfg.Config}
	v.begin()
	defer v.end()

	up, known := false, false // the last state of the feed
	settle := func() {        // harmless if it is so already
		if up {
			v.pass()
		} else {
			v.fail(ErrLinkDown)
		}
	}
	delay := time.NewTimer(0)
	delay.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case now, ok := <-cfg.Up:
			if !ok {
				return fmt.Errorf("check: %s: %w", cfg.Cause, ErrFeed)
			}
			if known && now == up {
				continue
			}
			up, known = now, true
			wait := cfg.Debounce
			if up {
				wait = cfg.Hold
			}
			if wait == 0 || !v.given {
				settle()
			} else {
				delay.Reset(wait)
			}
		case <-delay.C:
			settle()
		}
	}
}
