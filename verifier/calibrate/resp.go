package calibrate

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// maxCommand bounds one word of a command.
const maxCommand = 1 << 20

// readCommand reads one command as clients send it: an array of bulk strings (RESP2).
func readCommand(in *bufio.Reader) ([]string, error) {
	n, err := readCount(in, '*')
	if err != nil {
		return nil, err
	}
	words := make([]string, n)
	for i := range words {
		size, err := readCount(in, '$')
		if err != nil {
			return nil, err
		}
		b := make([]byte, size+2)
		if _, err := io.ReadFull(in, b); err != nil {
			return nil, err
		}
		words[i] = string(b[:size])
	}
	if n == 0 {
		return nil, errors.New("an empty command")
	}
	return words, nil
}

func readCount(in *bufio.Reader, sign byte) (int, error) {
	line, err := in.ReadString('\n')
	if err != nil {
		return 0, err
	}
	rest, ok := strings.CutPrefix(strings.TrimRight(line, "\r\n"), string(sign))
	n, err := strconv.Atoi(rest)
	if !ok || err != nil || n < 0 || n > maxCommand {
		return 0, fmt.Errorf("%q is not RESP", line)
	}
	return n, nil
}

func respBulk(s string) string { return fmt.Sprintf("$%d\r\n%s\r\n", len(s), s) }

const respNil = "$-1\r\n"

func respArray(items []string) string {
	return fmt.Sprintf("*%d\r\n%s", len(items), strings.Join(items, ""))
}
