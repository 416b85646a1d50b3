package carpnet

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gocarp/gocarp/carp"
	"github.com/gocarp/gocarp/internal/netns"
	"github.com/gocarp/gocarp/internal/nettest"
	"github.com/gocarp/gocarp/internal/pcap"
)

// An independent dissector finds our frames well formed.
func TestTshark(t *testing.T) {
	t.Parallel()
	netns.Require(t, "tshark")
	file, err := os.Create(filepath.Join(t.TempDir(), "frames.pcap"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	w, err := pcap.NewWriter(file, pcap.LinkEthernet)
	for _, p := range []carp.Packet{
		{Dst: carp.Group4, Src: addr("192.0.2.1"), LinkSrc: vmac},
		{Dst: carp.Group4, LinkSrc: vmac},
		{Dst: carp.Group6, Src: addr("fe80::1"), LinkSrc: vmac},
	} {
		if err == nil {
			err = w.Write(pcap.Packet{LinkType: pcap.LinkEthernet, Data: frame(t, p)})
		}
	}
	if err != nil {
		t.Fatal(err)
	}

	lab := netns.New(t, "a")
	out := lab.NS("a").Run("tshark", "-r", file.Name(), "-o", "ip.check_checksum:TRUE", "-T", "fields", "-E", "separator= ",
		"-e", "eth.src", "-e", "eth.dst", "-e", "ip.src", "-e", "ip.ttl", "-e", "ip.dsfield.dscp", "-e", "ip.flags.df", "-e", "ip.checksum.status",
		"-e", "ipv6.src", "-e", "ipv6.hlim", "-e", "ipv6.nxt", "-e", "ipv6.tclass", "-e", "frame.protocols")
	var got []string
	for line := range strings.Lines(out) {
		if strings.HasPrefix(line, "00:00:5e") {
			got = append(got, strings.Join(strings.Fields(line), " "))
		}
	}
	for i, want := range []string{
		"00:00:5e:00:01:07 01:00:5e:00:00:12 192.0.2.1 255 56 1 1 ",
		"00:00:5e:00:01:07 01:00:5e:00:00:12 0.0.0.0 255 56 1 1 ",
		"00:00:5e:00:01:07 33:33:00:00:00:12 fe80::1 255 112 0x000000e0 ",
	} {
		if i >= len(got) || !strings.HasPrefix(got[i], want) {
			t.Fatalf("frame %d: want %s in\n%s", i, want, out)
		}
	}
}

// On the wire there and back, nothing is allocated.
func TestConnAllocs(t *testing.T) {
	a, b, _ := nettest.Pair(t)
	ca, cb := listen(t, a, Config{}), listen(t, b, Config{})
	p := carp.Packet{Dst: carp.Group4, LinkSrc: vmac, Data: advert}
	var q carp.Packet
	var n float64
	for range 5 { // the count is the whole process's: those who follow the interfaces may still be at it
		n = testing.AllocsPerRun(200, func() {
			err := ca.WritePacket(p)
			if err == nil {
				err = cb.ReadPacket(&q)
			}
			if err == nil {
				_, err = cb.TryReadPacket(&q)
			}
			if err != nil {
				t.Fatal(err)
			}
		})
		if n == 0 {
			return
		}
	}
	t.Errorf("writing, reading and trying to read a packet allocates %v times", n)
}
