//go:build linux || freebsd || openbsd || netbsd || darwin

package pfsyncnet

const (
	// tos is the IPv4 TOS of the kernels, low delay. Over IPv6 there is none.
	tos = 0x10

	// receiveBuffer is what we ask of the kernel, in octets: a bulk update comes as
	// fast as a peer can send.
	receiveBuffer = 16 << 20
)
