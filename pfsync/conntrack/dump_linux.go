package conntrack

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"

	"golang.org/x/sys/unix"
)

// dumpBuffer is for one datagram of a dump. The kernel fills what it is offered,
// up to a limit of its own.
const dumpBuffer = 256 << 10

// ErrInterrupted says that the kernel called a dump inconsistent, because the
// table was resized meanwhile: entries may be missing, or have come twice.
var ErrInterrupted = errors.New("conntrack: dump was interrupted: repeat it")

// errRefused says that the kernel does not know how to filter by protocol.
var errRefused = errors.New("the filter was refused")

// A Filter says which entries of the table a [Dumper] is for. The zero Filter is
// for all. The kernel applies it, if it knows how to, and the Dumper in any case.
type Filter struct {
	// Proto is the IP protocol, as [ProtoUDP]; 0 is all. The kernel knows it from
	// 5.8 on, and gives IPv4 before IPv6, for each of which it goes through the table.
	Proto uint8

	Mark, MarkMask uint32 // those with the Mark in the bits of MarkMask

	InZone bool   // those in Zone, which may be 0
	Zone   uint16 // of both directions
}

func (f *Filter) match(e *Entry) bool {
	return (f.Proto == 0 || e.Orig.Proto == f.Proto) &&
		e.Mark&f.MarkMask == f.Mark&f.MarkMask &&
		(!f.InZone || e.Zone == f.Zone && e.ZoneDir == ZoneBoth)
}

// families are those to ask for, one by one: with a protocol the kernel filters
// only within a family.
func (f *Filter) families() []uint8 {
	switch f.Proto {
	case 0:
		return []uint8{familyUnspec}
	case ProtoICMP:
		return []uint8{familyIPv4}
	case ProtoICMPv6:
		return []uint8{familyIPv6}
	}
	return []uint8{familyIPv4, familyIPv6}
}

// A Dumper lists the conntrack table of a network namespace. It is not safe for
// concurrent use, but for Close.
type Dumper struct {
	s       *socket
	filter  Filter
	noProto bool // the kernel does not filter by protocol
	seq     uint32
	ended   bool // the dump with seq has been read to its end
	req     []byte
	buf     []byte
	entry   Entry

	// What was not right with the dump.
	interrupted bool
	malformed   error
}

// OpenDumper opens a Dumper in the network namespace of the calling thread.
func OpenDumper(f Filter) (*Dumper, error) {
	s, err := openSocket(2 * dumpBuffer)
	if err != nil {
		return nil, err
	}
	return &Dumper{s: s, filter: f, ended: true, buf: make([]byte, dumpBuffer)}, nil
}

// Close closes the Dumper. A Dump that is running, or called later, fails with
// an error that matches [net.ErrClosed].
func (d *Dumper) Close() error { return d.s.close() }

// SetFilter makes the Dumper be for something else, from the next Dump on.
func (d *Dumper) SetFilter(f Filter) { d.filter = f }

// Dump calls fn for each entry of the table. The entry is only fn's during the
// call. A dump is not a snapshot: entries that come and go meanwhile may be in
// it or not. It does not keep the processor for more than a few hundred entries
// at a time.
//
// Dump returns fn's error, as it is, as soon as there is one; ctx's if it is
// done; [ErrInterrupted], at the end, if the table was resized meanwhile; and, at
// the end, an error that matches [ErrMalformed] if there were entries that could
// not be read and so were passed over.
func (d *Dumper) Dump(ctx context.Context, fn func(*Entry) error) error {
	if err := d.finish(); err != nil {
		return fmt.Errorf("conntrack: dump: %w", err)
	}
	d.interrupted, d.malformed = false, nil
	for _, family := range d.filter.families() {
		err := d.pass(ctx, family, fn)
		if err == errRefused {
			d.noProto = true
			err = d.pass(ctx, family, fn)
		}
		if err != nil {
			return err
		}
	}
	if d.interrupted {
		return ErrInterrupted
	}
	return d.malformed
}

// pass asks for a family, and reads the answer.
func (d *Dumper) pass(ctx context.Context, family uint8, fn func(*Entry) error) error {
	d.seq++
	d.request(family)
	if err := d.s.send(d.req); err != nil {
		return fmt.Errorf("conntrack: dump: %w", err)
	}
	d.ended = false
	for !d.ended {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := d.s.receive(d.buf)
		if err != nil {
			return fmt.Errorf("conntrack: dump: %w", d.lost(err))
		}
		for rest := d.buf[:n]; len(rest) > 0; {
			var m message
			if m, rest, err = nextMessage(rest); err != nil {
				return fmt.Errorf("conntrack: dump: %w", err)
			}
			if m.seq != d.seq {
				continue
			}
			d.interrupted = d.interrupted || m.flags&flagDumpIntr != 0
			switch m.typ {
			case msgDone, msgError:
				d.ended = true
				switch errno := m.errno(); {
				case errno == 0:
				case d.byProto() && m.typ == msgError && (errno == unix.EOPNOTSUPP || errno == unix.EINVAL):
					return errRefused
				default:
					return fmt.Errorf("conntrack: dump: %w", errno)
				}
			case msgNew:
				if err := d.entry.UnmarshalBinary(m.body); err != nil {
					d.malformed = err
				} else if d.filter.match(&d.entry) {
					if err := fn(&d.entry); err != nil {
						return err
					}
				}
			}
		}
		runtime.Gosched()
	}
	return nil
}

// byProto reports whether the kernel is asked to filter by protocol.
func (d *Dumper) byProto() bool { return d.filter.Proto != 0 && !d.noProto }

// request makes the request for a dump, with attributes that let the kernel
// leave out what does not match the filter.
func (d *Dumper) request(family uint8) {
	b := append(d.req[:0], make([]byte, nlHeaderLen+nfHeaderLen)...)
	if d.filter.MarkMask != 0 {
		b = appendUint32(b, ctaMark, d.filter.Mark&d.filter.MarkMask)
		b = appendUint32(b, ctaMarkMask, d.filter.MarkMask)
	}
	if d.filter.InZone {
		b = appendUint16(b, ctaZone, d.filter.Zone)
	}
	if d.byProto() {
		b = appendProtoFilter(b, d.filter.Proto)
	}
	binary.NativeEndian.PutUint32(b, uint32(len(b)))
	binary.NativeEndian.PutUint16(b[4:], msgGet)
	binary.NativeEndian.PutUint16(b[6:], flagRequest|flagDump)
	binary.NativeEndian.PutUint32(b[8:], d.seq)
	b[nlHeaderLen] = family
	d.req = b
}

// appendProtoFilter appends a tuple that has a protocol only, and what says that
// nothing else of it counts. Kernels before 5.8 pass over both.
func appendProtoFilter(b []byte, proto uint8) []byte {
	b, tuple := openAttr(b, ctaTupleOrig)
	b, inner := openAttr(b, ctaTupleProto)
	b = appendUint8(b, ctaProtoNum, proto)
	closeAttr(b, inner)
	closeAttr(b, tuple)
	b, filter := openAttr(b, ctaFilter)
	b = appendAttr(b, ctaFilterOrigFlags, 4)
	b = binary.NativeEndian.AppendUint32(b, filterProtoNum) // the only number of the host's order
	closeAttr(b, filter)
	return b
}

// finish reads what an abandoned dump has left: until then the kernel does not
// begin another one on this socket.
func (d *Dumper) finish() error {
	for !d.ended {
		n, err := d.s.receive(d.buf)
		if err != nil {
			return d.lost(err)
		}
		for rest := d.buf[:n]; len(rest) > 0; {
			var m message
			if m, rest, err = nextMessage(rest); err != nil {
				return err
			}
			d.ended = d.ended || m.seq == d.seq && (m.typ == msgDone || m.typ == msgError)
		}
		runtime.Gosched()
	}
	return nil
}

// lost explains errors of receive. The kernel always has the next part of a
// dump; if not, its end has got lost.
func (d *Dumper) lost(err error) error {
	if err == unix.EAGAIN {
		d.ended = true
		return errors.New("the kernel did not answer to the end")
	}
	return err
}
