package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/gocarp/gocarp/carp"
	"github.com/gocarp/gocarp/internal/hook"
	"github.com/gocarp/gocarp/internal/ifconfig"
)

// A setup is what the files of a directory ask for.
type setup struct {
	config      ifconfig.Config
	sysctls     sysctls
	settings    settings
	force       map[string]carp.State // by carp interface: "state", for the start
	hooks       []hook.Script
	maintenance bool // the flag of "maintenance on -persistent" is there
	warnings    []string
}

const hooksDir = "carp.d"

// readSetup reads the files of dir. Its error joins all that is wrong with any of
// them; the positions in it are relative to dir.
func readSetup(dir string) (*setup, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	s := &setup{sysctls: defaultSysctls, force: make(map[string]carp.State)}
	var errs []error
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), "hostname.") {
			errs = append(errs, s.readHostname(dir, e.Name()))
		}
	}
	s.settings, err = readSettings(dir)
	errs = append(errs, err, s.readSysctls(dir), s.readHooks(dir), s.config.Validate(), s.settings.checksFit(s.config))
	s.settings.wan.place(s.config)
	_, err = os.Lstat(maintenanceFlag(dir))
	s.maintenance = err == nil
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return s, nil
}

// readHostname reads a hostname.if(5) file.
func (s *setup) readHostname(dir, name string) error {
	ifname, ok := ifconfig.HostnameInterface(name)
	if !ok {
		s.warn("%s is left alone: it is not the name of an interface and a number", name)
		return nil
	}
	if ifconfig.KindOf(ifname) == ifconfig.KindOther {
		s.warn("%s is left alone: configure %s with the tools of this system", name, ifname)
		return nil
	}
	path := filepath.Join(dir, name)
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	changes, err := ifconfig.ParseHostname(ifname, string(data))
	if err != nil {
		return err
	}
	for _, c := range changes {
		switch c.Op {
		case ifconfig.Shell:
			return &ifconfig.Error{Pos: c.Pos, Word: "!", Msg: "expected no command: scripts in " + hooksDir + " are run when something changes"}
		case ifconfig.State:
			s.force[ifname] = c.State
		case ifconfig.Pass:
			if info, err := os.Stat(path); err == nil && info.Mode()&0o044 != 0 {
				s.warn("%s has a passphrase, and others than its owner may read it: chmod 600", name)
			}
		}
	}
	if err := readPassFiles(dir, changes); err != nil {
		return err
	}
	config, err := s.config.With(ifname, changes)
	if err != nil {
		return err
	}
	s.config = config
	return nil
}

// readSysctls reads sysctl.conf, which need not be there.
func (s *setup) readSysctls(dir string) error {
	const name = "sysctl.conf"
	data, err := os.ReadFile(filepath.Join(dir, name))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	}
	ours, foreign, err := ifconfig.ParseSysctlConf(name, string(data))
	if err != nil {
		return err
	}
	for _, f := range foreign {
		s.warn("%s: %s is left alone: set it with the tools of this system", name, f)
	}
	var errs []error
	for _, c := range ours {
		errs = append(errs, s.sysctls.set(c))
	}
	return errors.Join(errs...)
}

// readHooks looks at the scripts.
func (s *setup) readHooks(dir string) error {
	var err error
	if s.hooks, err = hook.Find(filepath.Join(dir, hooksDir)); err != nil {
		return err
	}
	var errs []error
	for _, h := range s.hooks {
		if h.Err != nil {
			errs = append(errs, fmt.Errorf("%s/%s: %w", hooksDir, h.Name, h.Err))
		}
	}
	return errors.Join(errs...)
}

func (s *setup) warn(format string, args ...any) {
	s.warnings = append(s.warnings, fmt.Sprintf(format, args...))
}
