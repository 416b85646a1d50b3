package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mdlayher/packet"

	"github.com/gocarp/gocarp/internal/netns"
)

// A liveDump is the program running in a namespace, as a process of its own so
// that it can have signals.
type liveDump struct {
	t              *testing.T
	cmd            *exec.Cmd
	stdout, stderr <-chan string // lines
}

// startDump starts the program and waits until it captures.
func startDump(t *testing.T, ns *netns.NS, args ...string) *liveDump {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	d := &liveDump{t: t, cmd: exec.Command(self, append([]string{"-v"}, args...)...)}
	d.cmd.Env = append(os.Environ(), "GOCARP_TEST_DUMP=1")
	for out, pipe := range map[*<-chan string]func() (io.ReadCloser, error){
		&d.stdout: d.cmd.StdoutPipe, &d.stderr: d.cmd.StderrPipe,
	} {
		r, err := pipe()
		if err != nil {
			t.Fatal(err)
		}
		lines := make(chan string, 100)
		*out = lines
		go func() {
			defer close(lines)
			for s := bufio.NewScanner(r); s.Scan(); {
				lines <- s.Text()
			}
		}()
	}
	ns.Start(d.cmd)
	d.want(d.stderr, "capturing")
	return d
}

// want waits for a line that contains text.
func (d *liveDump) want(lines <-chan string, text string) {
	d.t.Helper()
	deadline := time.After(10 * time.Second)
	for {
		select {
		case line, ok := <-lines:
			if !ok {
				d.t.Fatalf("output ended before a line with %q", text)
			}
			if strings.Contains(line, text) {
				return
			}
		case <-deadline:
			d.t.Fatalf("no line with %q", text)
		}
	}
}

// stop sends a signal and returns the exit code.
func (d *liveDump) stop(sig syscall.Signal) int {
	d.t.Helper()
	if err := d.cmd.Process.Signal(sig); err != nil {
		d.t.Fatal(err)
	}
	for range d.stdout {
	}
	for range d.stderr {
	}
	d.cmd.Wait()
	return d.cmd.ProcessState.ExitCode()
}

// send puts frames on an interface of a namespace.
func send(t *testing.T, ns *netns.NS, ifname string, frames ...[]byte) {
	t.Helper()
	ns.Do(func() {
		ifi, err := net.InterfaceByName(ifname)
		if err != nil {
			t.Error(err)
			return
		}
		conn, err := packet.Listen(ifi, packet.Raw, 0, nil)
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		for _, f := range frames {
			if _, err := conn.WriteTo(f, &packet.Addr{HardwareAddr: net.HardwareAddr(f[:6])}); err != nil {
				t.Error(err)
			}
		}
	})
}

func TestLive(t *testing.T) {
	lab := netns.New(t, "dump", "peer")
	dumper, peer := lab.NS("dump"), lab.NS("peer")
	dumper.Veth("em0", peer, "em0")
	saved := filepath.Join(t.TempDir(), "live.pcap")

	d := startDump(t, dumper, "-i", "em0", "-carp", "vhid 1 10.0.0.1", "-w", saved)
	noise := ethernet(ipv4(17, make([]byte, 64)))
	tagged := behind(groupMAC+virtualMAC+"8100 0064 0800", ipv4(112, advert1))
	twice := behind(groupMAC+virtualMAC+"88a8 0007 8100 0064 0800", ipv4(112, advert1))
	options := behind("333300000012"+virtualMAC+"86dd", ipv6(0, append([]byte{112, 0, 1, 4, 0, 0, 0, 0}, advert1...)))
	sync4 := ethernet(ipv4(240, pfsyncPacket(6, delC6)))
	sync6 := behind("3333000000f0"+virtualMAC+"86dd", ipv6(240, pfsyncPacket(5, delC, endOf5)))
	send(t, peer, "em0", noise, ethernet(ipv4(112, advert1)), noise, tagged, twice, options, sync4, sync6)
	d.want(d.stdout, "10.0.0.2 > 224.0.0.18: CARPv2-advertise 36: vhid=1 advbase=1 advskew=100 demote=2 authlen=7 "+
		"counter=0123456789abcdef checksum=ok hmac=ok lladdr=00:00:5e:00:01:01")
	d.want(d.stdout, "vlan=[100]")
	d.want(d.stdout, "vlan=[7 100]")
	d.want(d.stdout, "fe80::2 > ff02::12: CARPv2-advertise 36: vhid=1")
	d.want(d.stdout, "PFSYNCv6 len 36")
	d.want(d.stdout, "fe80::2 > ff02::12: PFSYNCv5 len 40")
	d.want(d.stdout, "id: 0000000000000001 creatorid: 0a0b0c0d")

	// It goes on over an interface that goes down, and shows what this host sends.
	dumper.IP("link set em0 down")
	d.want(d.stderr, "interface went down")
	dumper.IP("link set em0 up")
	send(t, dumper, "em0", ethernet(ipv4(112, advert1)))
	d.want(d.stdout, "vhid=1")

	if code := d.stop(syscall.SIGTERM); code != 0 {
		t.Errorf("exit code %d after SIGTERM, want 0", code)
	}
	all := packets(t, "-r", saved)
	if len(all) != 7 {
		t.Fatalf("%d packets saved, want 7", len(all))
	}
	for i, want := range []string{"[]", "[100]", "[7 100]", "[]", "[]", "[]", "[]"} {
		if vlan := fmt.Sprint(all[i].VLAN); vlan != want {
			t.Errorf("packet %d: VLAN %s, want %s", i+1, vlan, want)
		}
		if age := time.Since(all[i].Time); age < 0 || age > time.Minute {
			t.Errorf("packet %d: from %v ago", i+1, age)
		}
	}

	d = startDump(t, dumper, "-i", "em0")
	send(t, peer, "em0", ethernet(ipv4(112, advert1[:20])))
	d.want(d.stdout, "[malformed: packet shorter than 36 octets]")
	if code := d.stop(syscall.SIGINT); code != 1 {
		t.Errorf("exit code %d after a malformed packet and SIGINT, want 1", code)
	}

	d = startDump(t, dumper, "-i", "em0")
	dumper.IP("link del em0")
	d.want(d.stderr, "interface em0 is gone")
}

// TestLivePlain captures where there is no Ethernet: a tunnel, and loopback.
func TestLivePlain(t *testing.T) {
	lab := netns.New(t, "dump")
	ns := lab.NS("dump")
	ns.IP("tuntap add tun0 mode tun")
	for _, ifname := range []string{"tun0", "lo"} {
		ns.IP("link set %s up", ifname)
		d := startDump(t, ns, "-i", ifname)
		if ifname == "lo" {
			send(t, ns, "lo", ethernet(ipv4(112, advert1)))
			d.want(d.stdout, "vhid=1")
		}
		if code := d.stop(syscall.SIGINT); code != 0 {
			t.Errorf("%s: exit code %d, want 0", ifname, code)
		}
	}
}

// TestNoPrivilege wants an error that says what is missing.
func TestNoPrivilege(t *testing.T) {
	netns.Require(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, "-i", "lo")
	cmd.Env = append(os.Environ(), "GOCARP_TEST_DUMP=1")
	const nobody = 65534
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	// The test binary may lie in a directory that nobody can enter.
	dir, err := os.MkdirTemp("/tmp", "gocarp-dump")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	b, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	cmd.Path = filepath.Join(dir, "dump")
	if err := errors.Join(os.Chmod(dir, 0o755), os.WriteFile(cmd.Path, b, 0o755)); err != nil {
		t.Fatal(err)
	}
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState.ExitCode() != 1 || !strings.Contains(string(out), "needs root or CAP_NET_RAW") {
		t.Errorf("as nobody: %v, %s", err, out)
	}
}
