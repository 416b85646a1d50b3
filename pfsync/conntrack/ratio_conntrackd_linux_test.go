package conntrack

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// ratioConntrackd takes: number of this node, of the other one, directory, and whether
// states go into the kernel as they arrive (On), or wait in a cache until they are
// committed (Off, the default).
const ratioConntrackd = `Sync {
	Mode FTFW {
		DisableExternalCache %[4]s
	}
	UDP {
		IPv4_address 10.9.9.%[1]d
		IPv4_Destination_Address 10.9.9.%[2]d
		Port 3780
		Interface sync
		SndSocketBuffer 8388608
		RcvSocketBuffer 8388608
		Checksum on
	}
	Options {
		TCPWindowTracking Off
	}
}
General {
	HashSize 65536
	HashLimit 524288
	LogFile %[3]s/log
	LockFile %[3]s/lock
	UNIX {
		Path %[3]s/ctl
	}
	NetlinkBufferSize 8388608
	NetlinkBufferSizeMaxGrowth 33554432
	Filter From Kernelspace {
		Protocol Accept {
			TCP
			UDP
		}
		Address Ignore {
			IPv4_address 127.0.0.1
			IPv4_address 10.9.9.%[1]d
			IPv4_address 10.9.9.%[2]d
		}
	}
}
`

// conntrackd is conntrackd(8), with DisableExternalCache On or Off.
func conntrackd(disable string) contestant {
	return contestant{"conntrackd", func(p *ratioPair, i int) *daemon {
		dir := p.t.TempDir()
		config := filepath.Join(dir, "conf")
		if err := os.WriteFile(config, fmt.Appendf(nil, ratioConntrackd, i+1, 2-i, dir, disable), 0o600); err != nil {
			p.t.Fatal(err)
		}
		d := &daemon{
			cmd:  exec.Command("conntrackd", "-C", config),
			have: func() (string, error) { return externalCache(filepath.Join(dir, "ctl")) },
			commit: func() error {
				if out, err := p.kern[i].ns.Try("conntrackd", "-C", config, "-c"); err != nil {
					return fmt.Errorf("commit: %w %s", err, out)
				}
				return nil
			},
		}
		p.kern[i].ns.Start(d.cmd)
		for end := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
			// What a fresh node does not ask for it is not told.
			out, err := p.kern[i].ns.Try("conntrackd", "-C", config, "-n")
			if err == nil {
				return d
			}
			if time.Now().After(end) {
				p.t.Fatalf("conntrackd does not answer: %v %s", err, out)
			}
		}
	}}
}

// externalCache asks a conntrackd how many connections of the other one it has, as
// "conntrackd -s" does, but without the cost of a process each time.
func externalCache(socket string) (string, error) {
	const stats = 21
	c, err := net.Dial("unix", socket)
	if err != nil {
		return "", err
	}
	defer c.Close()
	if err := binary.Write(c, binary.NativeEndian, uint32(stats)); err != nil {
		return "", err
	}
	text, err := io.ReadAll(c)
	if err != nil {
		return "", err
	}
	_, external, _ := strings.Cut(string(text), "cache external:")
	_, number, _ := strings.Cut(external, "connections:")
	if words := strings.Fields(number); len(words) > 0 {
		return words[0], nil
	}
	return "", errors.New("conntrackd does not say what it has")
}
