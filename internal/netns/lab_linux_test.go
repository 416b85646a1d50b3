package netns_test

import (
	"net"
	"os/exec"
	"strings"
	"testing"

	"github.com/gocarp/gocarp/internal/netns"
)

func TestLab(t *testing.T) {
	t.Parallel()
	lab := netns.New(t, "a", "b")
	netns.Require(t, "ping")
	lab.Bridge("lan", "a", "b")
	a, b := lab.NS("a"), lab.NS("b")
	a.Addr("lan", "192.0.2.1/24", "2001:db8::1/64")
	b.Addr("lan", "192.0.2.2/24", "2001:db8::2/64")

	a.Run("ping", "-c1", "-W2", "192.0.2.2")
	a.Run("ping", "-c1", "-W2", "2001:db8::2")

	lab.Detach("lan", "b")
	if out, err := a.Try("ping", "-c1", "-W1", "192.0.2.2"); err == nil {
		t.Errorf("a detached node answers a ping:\n%s", out)
	}
	if out := b.IP("-br link show dev lan"); !strings.Contains(out, "LOWER_UP") {
		t.Errorf("a detached node has lost its carrier: %s", out)
	}
	lab.Attach("lan", "b")
	a.Run("ping", "-c1", "-W2", "192.0.2.2")

	lab.Carrier("lan", "b", false)
	if out := b.IP("-br link show dev lan"); !strings.Contains(out, "NO-CARRIER") {
		t.Errorf("a node with its cable out still has a carrier: %s", out)
	}
}

func TestDo(t *testing.T) {
	t.Parallel()
	lab := netns.New(t, "a")
	lab.NS("a").IP("link add only-here type bridge")
	exists := func() bool {
		_, err := net.InterfaceByName("only-here")
		return err == nil
	}
	var inside bool
	lab.NS("a").Do(func() { inside = exists() })
	if !inside || exists() {
		t.Errorf("interface seen inside %t, outside %t, want true, false", inside, exists())
	}
}

func TestSysctl(t *testing.T) {
	t.Parallel()
	lab := netns.New(t, "a", "b")
	const key = "net.ipv4.conf.lo.arp_ignore"
	lab.NS("a").SetSysctl(key, "3")
	if a, b := lab.NS("a").Sysctl(key), lab.NS("b").Sysctl(key); a != "3" || b != "0" {
		t.Errorf("%s is %s in a and %s in b, want 3 and 0", key, a, b)
	}
}

func TestStart(t *testing.T) {
	t.Parallel()
	lab := netns.New(t, "a")
	var cmd *exec.Cmd
	t.Run("starts", func(t *testing.T) {
		lab := netns.New(t, "x")
		cmd = exec.Command("sleep", "60")
		lab.NS("x").Start(cmd)
	})
	if cmd.ProcessState == nil {
		t.Error("the process was not ended with its test")
	}
	quick := exec.Command("true")
	lab.NS("a").Start(quick)
	if err := quick.Wait(); err != nil {
		t.Error(err)
	}
}
