package vip

import (
	"errors"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"
)

// A rewriter makes an interface answer for the addresses with the shared
// hardware address, by two eBPF programs on it. They act only while the
// addresses are held: a backup that gets flooded frames to the shared address
// must not forward them a second time. Meanwhile a program that does nothing
// keeps their place, because to attach takes some 10 ms and to replace 10 us.
type rewriter struct {
	mac     HardwareAddr
	in, out *os.File // places on the interface
	role    role

	accept, rewrite, silent, idle *os.File // programs
}

// A role is what the programs of a rewriter do.
type role uint8

const (
	roleIdle   role = iota // nothing: the addresses are not held
	roleOwner              // take frames in, and say where the addresses are
	roleSilent             // take frames in, and say nothing: see Applier.Silence
)

func newRewriter(mac HardwareAddr, addrs []netip.Prefix) (*rewriter, error) {
	r := &rewriter{mac: mac}
	var errs [4]error
	r.accept, errs[0] = acceptProgram(mac).load()
	r.rewrite, errs[1] = rewriteProgram(mac, addrs).load()
	r.silent, errs[2] = silentProgram(addrs).load()
	r.idle, errs[3] = idleProgram().load()
	if err := errors.Join(errs[:]...); err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}

// attach takes places on an interface of the calling thread's network
// namespace. Those on an interface that was removed are gone with it.
func (r *rewriter) attach(index int) error {
	r.detach()
	in, out := r.programs()
	var err error
	if r.out, err = attach(out, index, tcxEgress); err != nil {
		return err
	}
	r.in, err = attach(in, index, tcxIngress)
	return err
}

// set gives the programs another role.
func (r *rewriter) set(to role) error {
	if r.role == to {
		return nil
	}
	r.role = to
	return r.replace()
}

// setAddresses changes the set of addresses.
func (r *rewriter) setAddresses(addrs []netip.Prefix) error {
	rewrite, err := rewriteProgram(r.mac, addrs).load()
	if err != nil {
		return err
	}
	silent, err := silentProgram(addrs).load()
	if err != nil {
		rewrite.Close()
		return err
	}
	r.rewrite.Close() // stays loaded while it is attached
	r.silent.Close()
	r.rewrite, r.silent = rewrite, silent
	return r.replace()
}

// replace puts the programs that shall run in their places.
func (r *rewriter) replace() error {
	if r.in == nil || r.out == nil {
		return errors.New("no eBPF programs are attached")
	}
	in, out := r.programs()
	err := errors.Join(replace(r.out, out), replace(r.in, in))
	if errors.Is(err, unix.ENOLINK) {
		return nil // the interface is gone; on the next one attach does it
	}
	return err
}

// programs are those that shall run for what comes in and for what goes out.
func (r *rewriter) programs() (in, out *os.File) {
	switch r.role {
	case roleOwner:
		return r.accept, r.rewrite
	case roleSilent:
		return r.accept, r.silent
	}
	return r.idle, r.idle
}

func (r *rewriter) detach() {
	r.in.Close() // closing a nil file does nothing
	r.out.Close()
	r.in, r.out = nil, nil
}

// Close gives up the places and unloads the programs.
func (r *rewriter) Close() {
	r.detach()
	r.accept.Close()
	r.rewrite.Close()
	r.silent.Close()
	r.idle.Close()
}
