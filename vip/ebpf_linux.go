package vip

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Programs of a few dozen instructions need neither a compiler nor a library.
// What is here is the part of linux/bpf.h that rewriting takes.

// The operations.
const (
	opMov64Imm = 0xb7 // dst = imm
	opMov64Reg = 0xbf // dst = src
	opAdd64Imm = 0x07 // dst += imm
	opLoad8    = 0x71 // dst = *(src + off)
	opLoad16   = 0x69
	opLoad32   = 0x61
	opStore8   = 0x72 // *(dst + off) = imm
	opStore16  = 0x6a
	opStore32  = 0x62
	opStoreReg = 0x73 // *(dst + off) = low octet of src
	opJump     = 0x05
	opJumpEq32 = 0x16 // compares the low 32 bits of dst with imm
	opJumpNe32 = 0x56
	opJumpNeXX = 0x5d // compares dst with src
	opCall     = 0x85
	opExit     = 0x95
)

// The helpers of the kernel.
const (
	helperStoreBytes    = 9
	helperL4CsumReplace = 11
	helperLoadBytes     = 26
	helperCsumDiff      = 28
	helperChangeType    = 32
)

// fp is the register with the frame pointer, below which is the stack.
const fp = 10

type instruction struct {
	op, dst, src uint8
	off          int16
	imm          int32
	label        string // jumps: where to
}

// A program is written from the first instruction to the last. Jumps go forward
// to labels that come later.
type program struct {
	ins    []instruction
	labels map[string]int
}

func (p *program) add(ins ...instruction) { p.ins = append(p.ins, ins...) }

func (p *program) label(name string) {
	if p.labels == nil {
		p.labels = make(map[string]int)
	}
	p.labels[name] = len(p.ins)
}

// call calls a helper with the packet, which the program keeps in register 6,
// and further arguments: numbers, or stack slots.
func (p *program) call(helper int32, args ...any) {
	p.add(instruction{op: opMov64Reg, dst: 1, src: 6})
	p.arguments(2, args...)
	p.add(instruction{op: opCall, imm: helper})
}

// A slot is a place on the stack: an offset from the frame pointer.
type slot int16

func (p *program) arguments(first uint8, args ...any) {
	for i, arg := range args {
		dst := first + uint8(i)
		switch v := arg.(type) {
		case slot:
			p.add(instruction{op: opMov64Reg, dst: dst, src: fp}, instruction{op: opAdd64Imm, dst: dst, imm: int32(v)})
		case int:
			p.add(instruction{op: opMov64Imm, dst: dst, imm: int32(v)})
		}
	}
}

// bytes is the program as the kernel reads it.
func (p *program) bytes() []byte {
	var b []byte
	for i, in := range p.ins {
		if in.label != "" {
			in.off = int16(p.labels[in.label] - i - 1)
		}
		regs := in.src<<4 | in.dst
		if binary.NativeEndian.Uint16([]byte{1, 0}) != 1 { // bit fields
			regs = in.dst<<4 | in.src
		}
		b = append(b, in.op, regs)
		b = binary.NativeEndian.AppendUint16(b, uint16(in.off))
		b = binary.NativeEndian.AppendUint32(b, uint32(in.imm))
	}
	return b
}

// maxInstructions keeps every jump within its 16 bits.
const maxInstructions = 1<<15 - 1

// loadTries is how often a program is handed to the kernel if a signal cuts its
// check short, which is how Go's runtime preempts a thread.
const loadTries = 20

// load hands the program to the kernel, which checks it. If it refuses, the
// program is loaded once more to get the reason.
func (p *program) load() (*os.File, error) {
	if len(p.ins) > maxInstructions {
		return nil, fmt.Errorf("eBPF program of %d instructions: too many addresses", len(p.ins))
	}
	f, err := p.tryLoad(nil)
	for tries := 1; errors.Is(err, unix.EAGAIN) && tries < loadTries; tries++ {
		f, err = p.tryLoad(nil)
	}
	if err == nil {
		return f, nil
	}
	reason := make([]byte, 64<<10)
	if f, retryErr := p.tryLoad(reason); retryErr == nil {
		return f, nil
	}
	return nil, fmt.Errorf("load eBPF program: %w %s", err, unix.ByteSliceToString(reason))
}

func (p *program) tryLoad(log []byte) (*os.File, error) {
	const (
		cmdProgLoad      = 5
		progTypeSchedCls = 3
	)
	var pins runtime.Pinner // the kernel gets addresses as plain numbers
	defer pins.Unpin()
	address := func(b []byte) uint64 {
		pins.Pin(&b[0])
		return uint64(uintptr(unsafe.Pointer(&b[0])))
	}
	code := p.bytes()
	attr := struct {
		progType, count    uint32
		code, license      uint64
		logLevel, logSize  uint32
		log                uint64
		kernVersion, flags uint32
		name               [16]byte
	}{
		progType: progTypeSchedCls,
		count:    uint32(len(code) / 8),
		code:     address(code),
		license:  address([]byte("BSD\x00")),
		name:     [16]byte{'g', 'o', 'c', 'a', 'r', 'p', '_', 'v', 'i', 'p'},
	}
	if log != nil {
		attr.logLevel, attr.logSize, attr.log = 1, uint32(len(log)), address(log)
	}
	return bpfCall(cmdProgLoad, unsafe.Pointer(&attr), unsafe.Sizeof(attr))
}

// The places where a program sees the packets of an interface.
const (
	tcxIngress = 46
	tcxEgress  = 47
)

// attach has the program see packets of the link with that index, which is
// looked up in the network namespace of the calling thread, until the file that
// it returns is closed, be it by the death of the process. It comes before the
// programs of others, because those may end the row.
func attach(prog *os.File, index int, where uint32) (*os.File, error) {
	const (
		cmdLinkCreate = 28
		before        = 1 << 3
	)
	attr := struct {
		prog, index, where, flags uint32
		relative, _               uint32
		revision                  uint64
	}{prog: uint32(prog.Fd()), index: uint32(index), where: where, flags: before}
	f, err := bpfCall(cmdLinkCreate, unsafe.Pointer(&attr), unsafe.Sizeof(attr))
	runtime.KeepAlive(prog)
	if errors.Is(err, unix.EINVAL) {
		return nil, fmt.Errorf("attach eBPF program, which needs Linux 6.6: %w", err)
	} else if err != nil {
		return nil, fmt.Errorf("attach eBPF program: %w", err)
	}
	return f, nil
}

// replace puts another program in the place that attach has returned.
func replace(place, prog *os.File) error {
	const cmdLinkUpdate = 29
	attr := struct{ link, prog, flags, oldProg uint32 }{link: uint32(place.Fd()), prog: uint32(prog.Fd())}
	_, _, errno := unix.Syscall(unix.SYS_BPF, cmdLinkUpdate, uintptr(unsafe.Pointer(&attr)), unsafe.Sizeof(attr))
	runtime.KeepAlive(place)
	runtime.KeepAlive(prog)
	if errno != 0 {
		return fmt.Errorf("replace eBPF program: %w", errno)
	}
	return nil
}

// bpfCall is the system call for commands that return a file.
func bpfCall(cmd uintptr, attr unsafe.Pointer, size uintptr) (*os.File, error) {
	fd, _, errno := unix.Syscall(unix.SYS_BPF, cmd, uintptr(attr), size)
	if errno != 0 {
		return nil, errno
	}
	return os.NewFile(fd, "bpf"), nil
}
