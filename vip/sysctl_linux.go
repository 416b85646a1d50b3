package vip

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"sync"
)

// sysctls reads and writes the per-interface settings of one network namespace.
// /proc/sys/net shows every thread its own namespace, but a directory that is
// open stays with the namespace it was opened in, whichever thread uses it.
type sysctls struct {
	ns     [2]uint64 // identifies the namespace
	v4, v6 *os.Root  // v6 is nil if the kernel has no IPv6
}

// openSysctls opens the settings of ns, in which the calling thread is.
func openSysctls(ns *namespace) (*sysctls, error) {
	s := &sysctls{ns: ns.id}
	var err error
	if s.v4, err = os.OpenRoot("/proc/sys/net/ipv4/conf"); err != nil {
		return nil, err
	}
	if s.v6, err = os.OpenRoot("/proc/sys/net/ipv6/conf"); err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.v4.Close()
		return nil, err
	}
	return s, nil
}

func (s *sysctls) Close() {
	s.v4.Close()
	if s.v6 != nil {
		s.v6.Close()
	}
}

func read(root *os.Root, ifname, key string) (string, error) {
	b, err := root.ReadFile(ifname + "/" + key)
	if err != nil {
		return "", fmt.Errorf("read %s of %s: %w", key, ifname, err)
	}
	return strings.TrimSpace(string(b)), nil
}

func write(root *os.Root, ifname, key, value string) error {
	if err := root.WriteFile(ifname+"/"+key, []byte(value), 0o644); err != nil {
		return fmt.Errorf("set %s of %s to %s: %w", key, ifname, value, err)
	}
	return nil
}

// forwards6 reports whether the interface forwards IPv6.
func (s *sysctls) forwards6(ifname string) bool {
	if s.v6 == nil {
		return false
	}
	v, err := read(s.v6, ifname, "forwarding")
	return err == nil && v != "0"
}

// raised are the settings of the interface below a macvlan, and the least value
// each must have. arp_ignore: it must not answer for the address of the macvlan.
// arp_announce: it must not use that address as the sender of its own ARP
// requests, which would tell neighbours the wrong hardware address.
var raised = []struct {
	key  string
	want int
}{
	{"arp_ignore", 1},
	{"arp_announce", 2},
}

// A raisedKey is one of these settings on one interface of one namespace.
type raisedKey struct {
	ns    [2]uint64
	index int
	key   string
}

// A raisedValue is what must be put back when the last user is gone.
type raisedValue struct {
	users    int
	old, set string
}

// raisedValues is shared by all Appliers of the process, because virtual hosts
// on one interface share its settings: the first changes them, the last
// restores them. Its lock is also held while they are written.
var raisedValues = struct {
	sync.Mutex
	m map[raisedKey]*raisedValue
}{m: make(map[raisedKey]*raisedValue)}

// raise makes the caller a user of the raised settings of an interface.
func (s *sysctls) raise(index int, ifname string) error {
	raisedValues.Lock()
	defer raisedValues.Unlock()
	for i, r := range raised {
		k := raisedKey{s.ns, index, r.key}
		v := raisedValues.m[k]
		if v == nil {
			v = &raisedValue{}
			raisedValues.m[k] = v
		}
		v.users++
		if err := s.enforce(v, ifname, r.key, r.want); err != nil {
			for _, done := range raised[:i+1] {
				s.drop(raisedKey{s.ns, index, done.key}, ifname)
			}
			return err
		}
	}
	return nil
}

// check raises the settings again if somebody has lowered them: an operator, or
// another process that was done with them.
func (s *sysctls) check(index int, ifname string) error {
	raisedValues.Lock()
	defer raisedValues.Unlock()
	for _, r := range raised {
		if v := raisedValues.m[raisedKey{s.ns, index, r.key}]; v != nil {
			if err := s.enforce(v, ifname, r.key, r.want); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *sysctls) enforce(v *raisedValue, ifname, key string, want int) error {
	now, err := read(s.v4, ifname, key)
	if err != nil {
		return err
	}
	if n, err := strconv.Atoi(now); err == nil && n >= want {
		return nil
	}
	v.old, v.set = now, strconv.Itoa(want)
	return write(s.v4, ifname, key, v.set)
}

// restore ends the use of the raised settings. The last user puts the old
// values back, unless gone says that the interface they belong to does not
// exist any more, or somebody has changed them since.
func (s *sysctls) restore(index int, ifname string, gone bool) error {
	raisedValues.Lock()
	defer raisedValues.Unlock()
	if gone {
		ifname = ""
	}
	var errs []error
	for _, r := range raised {
		errs = append(errs, s.drop(raisedKey{s.ns, index, r.key}, ifname))
	}
	return errors.Join(errs...)
}

// drop is one user less of k, whose interface is gone if ifname is empty.
func (s *sysctls) drop(k raisedKey, ifname string) error {
	v := raisedValues.m[k]
	if v == nil {
		return nil
	}
	if v.users--; v.users > 0 {
		return nil
	}
	delete(raisedValues.m, k)
	if v.set == "" || ifname == "" {
		return nil
	}
	now, err := read(s.v4, ifname, k.key)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil // gone, and its settings with it
	case err != nil || now != v.set:
		return err
	}
	return write(s.v4, ifname, k.key, v.old)
}

// oldValues is what raise has found, as "key=value" words for the alias of the
// macvlan; only those that it has changed.
func (s *sysctls) oldValues(index int) []string {
	raisedValues.Lock()
	defer raisedValues.Unlock()
	var words []string
	for _, r := range raised {
		if v := raisedValues.m[raisedKey{s.ns, index, r.key}]; v != nil && v.set != "" {
			words = append(words, r.key+"="+v.old)
		}
	}
	return words
}

// restoreLeftover puts back the old values that a killed process has left in the
// alias of its macvlan, unless somebody has changed them since or an Applier of
// this process needs them raised.
func (s *sysctls) restoreLeftover(index int, ifname string, words []string) error {
	raisedValues.Lock()
	defer raisedValues.Unlock()
	var errs []error
	for _, word := range words {
		key, old, _ := strings.Cut(word, "=")
		for _, r := range raised {
			if r.key != key || raisedValues.m[raisedKey{s.ns, index, key}] != nil {
				continue
			}
			now, err := read(s.v4, ifname, key)
			if err == nil && now == strconv.Itoa(r.want) {
				err = write(s.v4, ifname, key, old)
			}
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// copyForwarding makes one interface forward exactly if another does.
func copyForwarding(root *os.Root, from, to string) error {
	v, err := read(root, from, "forwarding")
	if err != nil {
		return err
	}
	return write(root, to, "forwarding", v)
}
