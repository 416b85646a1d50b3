package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// addrOfRouter is IFAPROT_KERNEL_RA of linux/if_addr.h: the kernel has made the address
// from the advertisement of a router.
const addrOfRouter = 2

// wanIPv6 is how a WAN interface has to be for the kernel to take its address and its
// default route from the routers there: it does so although it forwards, and it makes
// the address from the hardware address, so that both hosts have the same.
var wanIPv6 = []struct{ key, value string }{{"accept_ra", "2"}, {"addr_gen_mode", "0"}}

// ipv6Setting is the file of a setting, of the network namespace of whoever opens it.
func ipv6Setting(ifname, key string) string {
	return filepath.Join("/proc/sys/net/ipv6/conf", ifname, key)
}

// prepareIPv6 is for before the interface comes up. A kernel without IPv6 needs nothing.
func (p *linuxWAN) prepareIPv6() error {
	err := p.files.storeIPv6(p.cfg.ifname)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil || !p.cfg.ra {
		return err
	}
	var errs []error
	for _, s := range wanIPv6 {
		errs = append(errs, os.WriteFile(ipv6Setting(p.cfg.ifname, s.key), []byte(s.value), 0))
	}
	return errors.Join(errs...)
}

// storeIPv6 writes down what the settings were, before we or a client change them:
// dhcpcd does. What is there already is older, and right.
func (f wanFiles) storeIPv6(ifname string) error {
	if _, err := os.Stat(f.ipv6()); err == nil {
		return nil
	}
	var b []byte
	for _, s := range wanIPv6 {
		value, err := os.ReadFile(ipv6Setting(ifname, s.key))
		if err != nil {
			return err
		}
		b = fmt.Appendf(b, "%s %s\n", s.key, bytes.TrimSpace(value))
	}
	return os.WriteFile(f.ipv6(), b, 0o600)
}

// restoreIPv6 puts them back, if they were written down.
func (f wanFiles) restoreIPv6(ifname string) error {
	b, err := os.ReadFile(f.ipv6())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(b)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if err := os.WriteFile(ipv6Setting(ifname, key), []byte(value), 0); err != nil {
			return fmt.Errorf("cannot restore %s of %s: %w", key, ifname, err)
		}
	}
	return os.Remove(f.ipv6())
}
