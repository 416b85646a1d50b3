package conntrack

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"
)

// kernel is the kernel's end of a [Table].
type kernel struct {
	writer   *Writer
	listener *Listener
	dumper   *Dumper
	sysctl   *Sysctl
	gate     sync.Mutex // of writer and dumper
}

// OpenTable opens a table on conntrack in the network namespace of the calling thread.
// Run must be called, also to close it again.
func OpenTable(c TableConfig) (_ *Table, err error) {
	t, err := newMirror(c, time.Now())
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			t.kernel.close()
		}
	}()
	if t.kernel.sysctl, err = OpenSysctl(); err != nil {
		return nil, err
	}
	t.kernel.sysctl.SetJournal(c.Journal)
	if t.kernel.writer, err = OpenWriter(WriterConfig{Failed: t.failed}); err != nil {
		return nil, err
	}
	if t.kernel.listener, err = Listen(ListenConfig{ReadBuffer: c.ReadBuffer, Ignore: []uint32{t.kernel.writer.PortID()}}); err != nil {
		return nil, err
	}
	if t.kernel.dumper, err = OpenDumper(Filter{}); err != nil {
		return nil, err
	}
	w, d := t.kernel.writer.s, t.kernel.dumper.s
	w.gate, d.gate, w.brief = &t.kernel.gate, &t.kernel.gate, true
	return t, nil
}

// close closes what is open, which ends what waits for it.
func (k *kernel) close() error {
	var errs []error
	if k.sysctl != nil {
		errs = append(errs, k.sysctl.Close())
	}
	if k.writer != nil {
		errs = append(errs, k.writer.Close())
	}
	if k.listener != nil {
		errs = append(errs, k.listener.Close())
	}
	if k.dumper != nil {
		errs = append(errs, k.dumper.Close())
	}
	return errors.Join(errs...)
}

// enable sets the sysctls, and returns a function that puts them back.
func (k *kernel) enable() (restore func() error, err error) {
	events, err := k.sysctl.EnableEvents()
	if err != nil {
		return nil, err
	}
	liberal, err := k.sysctl.EnableLiberal()
	if err != nil {
		return nil, errors.Join(err, events())
	}
	return func() error { return errors.Join(events(), liberal()) }, nil
}

// Run keeps the table and the kernel's the same until ctx is done, and returns nil
// then, else the error that ended it. The entries stay in the kernel, which goes on
// forwarding.
func (t *Table) Run(ctx context.Context) error {
	restore, err := t.kernel.enable()
	if err != nil {
		return errors.Join(err, t.kernel.close())
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	for _, loop := range []func(context.Context) error{t.listen, t.write, t.watch} {
		wg.Go(func() {
			if err := loop(ctx); err != nil {
				cancel(err)
			}
		})
	}
	<-ctx.Done()
	err = context.Cause(ctx)
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		err = nil
	}
	err = errors.Join(err, restore(), t.kernel.close())
	wg.Wait()
	return err
}

// Gather is the pause behind the events that there were, unless there are plenty.
// Connections begin one by one, and to be woken for each of them, here and at the peers,
// costs more than all that is done about it. See [Table.CatchUp].
const Gather = 50 * time.Millisecond

// listen takes in events.
func (t *Table) listen(ctx context.Context) error {
	for {
		n, err := t.hear()
		if n == 0 && err == nil {
			err = t.kernel.listener.wait()
		}
		switch {
		case ctx.Err() != nil || errors.Is(err, net.ErrClosed):
			return nil
		case err != nil:
			return err
		case 0 < n && n < maxDatagrams:
			time.Sleep(Gather)
		}
	}
}

// hear takes in the events that are there, a few dozen at most, and returns how many.
func (t *Table) hear() (n int, err error) {
	t.hearing.Lock()
	var now time.Time // of all that are there at once
	n, err = t.kernel.listener.poll(func(ev *Event) {
		if now.IsZero() {
			now = time.Now()
		}
		switch ev.Kind {
		case New, Update:
			t.changed(now, &ev.Entry)
		case Destroy:
			t.destroyed(now, &ev.Entry)
		case Overrun:
			t.mu.Lock()
			t.stats.Overruns++
			t.mu.Unlock()
			t.dumpSoon()
		case Malformed:
			t.log.Warn("conntrack: event", "err", ev.Err)
		}
	})
	t.hearing.Unlock()
	if n > 0 {
		t.tell()
	}
	return n, err
}

// CatchUp takes in what the kernel has said until now, instead of waiting for more, and
// tells it the sink: what comes before the flush of a hand-over. Of an overrun it does not
// wait for the dump. It may wait for the sink, so it is not for the goroutine of the node.
func (t *Table) CatchUp() error {
	defer t.tell() // what another goroutine has heard, too
	// As often as the buffer can fill that many datagrams: beyond, it is traffic that does
	// not end.
	for range 2 * max(t.cfg.ReadBuffer, defaultEventBuffer) / (maxDatagrams << 10) {
		if n, err := t.hear(); n == 0 || err != nil {
			return err
		}
	}
	return nil
}

// write puts what peers say into the kernel.
func (t *Table) write(ctx context.Context) error {
	var b batch
	for {
		select {
		case <-t.wake:
		case <-ctx.Done():
			return nil
		}
		for t.take(time.Now(), &b) && ctx.Err() == nil {
			if err := t.writeBatch(&b); err != nil {
				if errors.Is(err, net.ErrClosed) {
					return nil
				}
				return err
			}
		}
	}
}

func (t *Table) writeBatch(b *batch) error {
	for i := range b.deletes {
		if err := t.kernel.writer.Delete(&Entry{Orig: b.deletes[i]}); err != nil {
			return err
		}
	}
	for i := range b.entries {
		put := t.kernel.writer.Upsert
		if b.known[i] {
			put = t.kernel.writer.Update
		}
		if err := put(&b.entries[i]); err != nil {
			return err
		}
	}
	return t.kernel.writer.Flush()
}

const (
	// tellAt is how much there may be to tell in the course of a dump before it is
	// told, and tellPause the pause behind it: a node sends and a peer takes in this
	// much without losses.
	tellAt    = 512
	tellPause = 5 * time.Millisecond

	// redumps is how often a dump is repeated because the table was resized.
	redumps = 3

	// tellInterval is how often is told what nobody else tells.
	tellInterval = time.Second
)

// watch looks at the table in rounds: at the start, every now and then, and when events
// were lost.
func (t *Table) watch(ctx context.Context) error {
	refresh := time.NewTicker(t.cfg.Refresh)
	defer refresh.Stop()
	tell := time.NewTicker(tellInterval)
	defer tell.Stop()
	adopt := time.NewTimer(t.cfg.Adopt)
	defer adopt.Stop()
	for {
		if err := t.findAddrs(); err != nil {
			t.log.Warn("conntrack: own addresses", "err", err)
		}
		for _, proto := range t.round() {
			if err := t.dump(ctx, proto); err != nil {
				return err
			}
		}
		t.keep(time.Now())
		t.tell()
		for again := false; !again; {
			select {
			case <-refresh.C:
				again = true
			case <-t.redump:
				t.lookAtAll(wholeRounds)
				again = true
			case <-adopt.C:
				t.Adopted()
			case <-tell.C:
				t.mu.Lock()
				t.noMoreWaiting()
				t.mu.Unlock()
				t.tell()
			case <-ctx.Done():
				return nil
			}
		}
	}
}

// dump looks at the entries of an IP protocol; 0 is all.
func (t *Table) dump(ctx context.Context, proto uint8) error {
	t.kernel.dumper.SetFilter(Filter{Proto: proto})
	for range redumps {
		t.beginDump(proto)
		err := t.kernel.dumper.Dump(ctx, func(e *Entry) error {
			if t.dumped(time.Now(), e) >= tellAt {
				t.tell()
				time.Sleep(tellPause)
			}
			return nil
		})
		t.endDump(time.Now(), err == nil)
		t.tell()
		switch {
		case err == nil, ctx.Err() != nil, errors.Is(err, net.ErrClosed):
			return nil
		case errors.Is(err, ErrMalformed):
			t.log.Warn("conntrack: entries that cannot be read", "err", err)
			return nil
		case !errors.Is(err, ErrInterrupted):
			return err
		}
	}
	return nil // what was missed shows in the next one
}

// findAddrs asks which addresses are ours.
func (t *Table) findAddrs() error {
	if t.cfg.Addrs == nil {
		return nil
	}
	addrs, err := t.cfg.Addrs()
	if err != nil {
		return fmt.Errorf("conntrack: %w", err)
	}
	local := make(map[netip.Addr]struct{}, len(addrs))
	for _, a := range addrs {
		local[a.Unmap().WithZone("")] = struct{}{}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.local = local
	return nil
}
