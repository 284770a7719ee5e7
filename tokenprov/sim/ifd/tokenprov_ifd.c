/*
 * IFD handler of the virtual readers (pcsc-lite's ifdhandler.h, interface version 3.0).
 *
 * One slot a reader, any number of readers from this one file. The device's name says where the
 * simulator listens and which reader this is: "/path/of/socket:NUMBER", bare or behind what pcscd
 * writes for USB readers ("usb:VENDOR/PRODUCT:libudev:INTERFACE:").
 *
 * The handler connects twice for each reader and says hello with a role and the number:
 *
 *     hello     role (1 byte: 'E' events, 'C' commands), reader (2 bytes, big-endian)
 *     events    simulator -> handler, one byte each: 0 no card, 1 card. The first one comes at
 *               once. Each is shown to pcscd by itself, so that a quick pull is never missed.
 *     acks      handler -> simulator, on the events' connection, one byte each time pcscd starts to
 *               wait for the next event: how many events were shown and dealt with (modulo 256)
 *     request   operation (1 byte), length (4 bytes, big-endian), data
 *     reply     status (1 byte), length (4 bytes, big-endian), data (an ATR or a response APDU)
 *
 * Rules: a simulator that is gone is a reader without a card, never a hang; whoever cannot be
 * reached is tried again at each look; a reply that does not come within REPLY_SECONDS is a time-out
 * and closes the channel, so that a late answer is never taken for another command's.
 * pcscd calls from several threads (one that watches, one for each client): `watch` guards the
 * events, `talk` the commands, and neither is held while waiting for the other.
 * When a reader goes, pcscd ends its watching thread: by pthread_cancel where the handler allows
 * that, as here, else by a mark in the variable that says who holds the card (eventhandler.c,
 * hLockId = 0xFFFF). A card removed or a hold given up at that moment overwrites the mark; pcscd
 * then waits for the thread for good, and no reader comes or goes any more. So the thread may be
 * cancelled, and only while it waits for an event and holds nothing.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <ifdhandler.h>
#include <reader.h>

enum { READERS = 16, REPLY_SECONDS = 180, RETRY_MS = 250, HELLO_MS = 1000, HEADER = 5 };
enum operation { POWER_OFF = 0, POWER_ON = 1, RESET = 2, TRANSMIT = 3 };
enum status { DONE = 0, NO_CARD = 1, BROKEN = 2, TOO_LATE = 3 };

struct reader {
	int used;
	struct sockaddr_un address;
	uint16_t number;
	pthread_mutex_t watch;
	int events, present, wake[2];
	unsigned char taken; /* events on this connection so far */
	pthread_mutex_t talk;
	int commands;
	UCHAR atr[MAX_ATR_SIZE];
	DWORD atr_length;
};

static struct reader readers[READERS];

static struct reader *reader_of(DWORD lun)
{
	DWORD index = lun >> 16;
	if (index >= READERS || (lun & 0xFFFF) != 0 || !readers[index].used)
		return NULL;
	return &readers[index];
}

static int send_all(int fd, const void *data, size_t length)
{
	const char *at = data;
	while (length > 0) {
		ssize_t n = send(fd, at, length, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return -1;
		at += n;
		length -= (size_t)n;
	}
	return 0;
}

static int receive_all(int fd, void *data, size_t length)
{
	char *at = data;
	while (length > 0) {
		ssize_t n = recv(fd, at, length, 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK) ? 1 : -1;
		at += n;
		length -= (size_t)n;
	}
	return 0;
}

static int connect_as(struct reader *r, char role)
{
	unsigned char hello[3] = { (unsigned char)role, (unsigned char)(r->number >> 8),
		(unsigned char)r->number };
	struct timeval patience = { .tv_sec = REPLY_SECONDS };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) != 0
	    || setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience) != 0
	    || connect(fd, (struct sockaddr *)&r->address, sizeof r->address) != 0
	    || send_all(fd, hello, sizeof hello) != 0) {
		close(fd);
		return -1;
	}
	return fd;
}

static void drop(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* Take the next event, if there is one; the caller holds `watch`. */
static void take_event(struct reader *r)
{
	unsigned char event;
	ssize_t n = recv(r->events, &event, 1, MSG_DONTWAIT);

	if (n == 1) {
		r->present = event == 1;
		r->taken++;
	} else if (n == 0 || (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)) {
		drop(&r->events);
		r->present = 0;
	}
}

/* Connect to the events and learn whether there is a card; the caller holds `watch`. */
static void watch_events(struct reader *r)
{
	struct pollfd first = { .events = POLLIN };

	r->present = 0;
	r->taken = 0;
	r->events = connect_as(r, 'E');
	first.fd = r->events;
	if (r->events >= 0 && poll(&first, 1, HELLO_MS) > 0)
		take_event(r);
}

/* One request and its reply; the caller holds `talk`. *length is the room in, the bytes out. */
static RESPONSECODE exchange(struct reader *r, enum operation what, const UCHAR *data,
	DWORD data_length, UCHAR *out, DWORD *length)
{
	unsigned char header[HEADER] = { (unsigned char)what, (unsigned char)(data_length >> 24),
		(unsigned char)(data_length >> 16), (unsigned char)(data_length >> 8),
		(unsigned char)data_length };
	unsigned char *request;
	DWORD room = *length;
	uint32_t size;
	int failed;

	*length = 0;
	request = malloc(HEADER + data_length);
	if (request == NULL)
		return IFD_COMMUNICATION_ERROR;
	memcpy(request, header, HEADER);
	if (data_length > 0)
		memcpy(request + HEADER, data, data_length);
	if (r->commands < 0)
		r->commands = connect_as(r, 'C');
	failed = r->commands < 0 || send_all(r->commands, request, HEADER + data_length) != 0;
	explicit_bzero(request, HEADER + data_length); /* it may hold a PIN */
	free(request);
	if (failed) {
		drop(&r->commands);
		return IFD_COMMUNICATION_ERROR;
	}
	failed = receive_all(r->commands, header, HEADER);
	if (failed == 0) {
		size = (uint32_t)header[1] << 24 | (uint32_t)header[2] << 16
			| (uint32_t)header[3] << 8 | header[4];
		if (size > room) {
			drop(&r->commands);
			return IFD_ERROR_INSUFFICIENT_BUFFER;
		}
		failed = receive_all(r->commands, out, size);
	}
	if (failed != 0) {
		drop(&r->commands);
		return failed > 0 ? IFD_RESPONSE_TIMEOUT : IFD_COMMUNICATION_ERROR;
	}
	switch (header[0]) {
	case DONE:
		*length = size;
		return IFD_SUCCESS;
	case NO_CARD:
		return IFD_ICC_NOT_PRESENT;
	case TOO_LATE:
		return IFD_RESPONSE_TIMEOUT;
	default:
		return IFD_COMMUNICATION_ERROR;
	}
}

/*
 * pcscd's watching thread waits here until something has changed. Events are taken here and nowhere
 * else: pcscd asks for the presence in other places too, where a pull must not be used up unseen.
 */
static RESPONSECODE wait_for_event(DWORD lun, int timeout_ms)
{
	struct reader *r = reader_of(lun);
	struct pollfd fds[2];
	char drain[16];
	int changed;

	if (r == NULL)
		return IFD_NO_SUCH_DEVICE;
	pthread_mutex_lock(&r->watch);
	fds[0].fd = r->wake[0];
	fds[1].fd = r->events; /* poll() passes over a negative one */
	if (r->events >= 0)
		(void)!send(r->events, &r->taken, 1, MSG_NOSIGNAL | MSG_DONTWAIT);
	pthread_mutex_unlock(&r->watch);
	fds[0].events = fds[1].events = POLLIN;
	fds[0].revents = fds[1].revents = 0;
	if (fds[1].fd < 0 && (timeout_ms < 0 || timeout_ms > RETRY_MS))
		timeout_ms = RETRY_MS;
	pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL);
	changed = poll(fds, 2, timeout_ms);
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
	if (changed <= 0)
		return IFD_SUCCESS;
	if (fds[0].revents != 0)
		(void)!read(r->wake[0], drain, sizeof drain);
	pthread_mutex_lock(&r->watch);
	if (fds[1].revents != 0 && r->events == fds[1].fd)
		take_event(r);
	pthread_mutex_unlock(&r->watch);
	return IFD_SUCCESS;
}

static RESPONSECODE stop_waiting(DWORD lun)
{
	struct reader *r = reader_of(lun);
	if (r == NULL)
		return IFD_NO_SUCH_DEVICE;
	(void)!write(r->wake[1], "", 1);
	return IFD_SUCCESS;
}

RESPONSECODE IFDHCreateChannelByName(DWORD Lun, LPSTR DeviceName)
{
	DWORD index = Lun >> 16;
	const char *usb = strstr(DeviceName, ":/");
	const char *path = usb == NULL ? DeviceName : usb + 1;
	const char *colon = strrchr(path, ':');
	struct reader *r;
	char *end;
	long number;

	if (index >= READERS || (Lun & 0xFFFF) != 0 || readers[index].used || colon == NULL || path[0] != '/'
	    || (size_t)(colon - path) >= sizeof readers[index].address.sun_path)
		return IFD_COMMUNICATION_ERROR;
	number = strtol(colon + 1, &end, 10);
	if (end == colon + 1 || *end != '\0' || number < 0 || number > UINT16_MAX)
		return IFD_COMMUNICATION_ERROR;
	r = &readers[index];
	memset(r, 0, sizeof *r);
	r->address.sun_family = AF_UNIX;
	memcpy(r->address.sun_path, path, (size_t)(colon - path));
	r->number = (uint16_t)number;
	r->events = r->commands = -1;
	if (pipe2(r->wake, O_CLOEXEC | O_NONBLOCK) != 0)
		return IFD_COMMUNICATION_ERROR;
	pthread_mutex_init(&r->watch, NULL);
	pthread_mutex_init(&r->talk, NULL);
	r->used = 1;
	return IFD_SUCCESS;
}

RESPONSECODE IFDHCreateChannel(DWORD Lun, DWORD Channel)
{
	(void)Lun;
	(void)Channel;
	return IFD_COMMUNICATION_ERROR; /* a device's name is needed */
}

RESPONSECODE IFDHCloseChannel(DWORD Lun)
{
	struct reader *r = reader_of(Lun);
	if (r == NULL)
		return IFD_NO_SUCH_DEVICE;
	pthread_mutex_lock(&r->watch);
	pthread_mutex_lock(&r->talk);
	drop(&r->events);
	drop(&r->commands);
	drop(&r->wake[0]);
	drop(&r->wake[1]);
	r->used = 0;
	pthread_mutex_unlock(&r->talk);
	pthread_mutex_unlock(&r->watch);
	return IFD_SUCCESS;
}

static RESPONSECODE give(PDWORD length, PUCHAR value, const void *data, DWORD size)
{
	if (value == NULL || *length < size)
		return IFD_ERROR_INSUFFICIENT_BUFFER;
	memcpy(value, data, size);
	*length = size;
	return IFD_SUCCESS;
}

RESPONSECODE IFDHGetCapabilities(DWORD Lun, DWORD Tag, PDWORD Length, PUCHAR Value)
{
	static const UCHAR yes = 1, slots = 1, many = READERS;
	static const uint32_t extended = 65536 + 10; /* longest extended APDU, bytes */
	RESPONSECODE (*watcher)(DWORD, int) = wait_for_event;
	RESPONSECODE (*stopper)(DWORD) = stop_waiting;
	struct reader *r = reader_of(Lun);
	RESPONSECODE code;

	if (r == NULL)
		return IFD_NO_SUCH_DEVICE;
	switch (Tag) {
	case TAG_IFD_SLOTS_NUMBER:
		return give(Length, Value, &slots, 1);
	case TAG_IFD_SIMULTANEOUS_ACCESS:
		return give(Length, Value, &many, 1);
	case TAG_IFD_THREAD_SAFE:
	case TAG_IFD_SLOT_THREAD_SAFE:
		return give(Length, Value, &yes, 1);
	case TAG_IFD_POLLING_THREAD_WITH_TIMEOUT:
		return give(Length, Value, &watcher, sizeof watcher);
	case TAG_IFD_STOP_POLLING_THREAD:
		return give(Length, Value, &stopper, sizeof stopper);
	case TAG_IFD_POLLING_THREAD_KILLABLE:
		return give(Length, Value, &yes, 1);
	case SCARD_ATTR_MAXINPUT:
		return give(Length, Value, &extended, sizeof extended);
	case TAG_IFD_ATR:
	case SCARD_ATTR_ATR_STRING:
		pthread_mutex_lock(&r->talk);
		code = give(Length, Value, r->atr, r->atr_length);
		pthread_mutex_unlock(&r->talk);
		return code;
	default:
		return IFD_ERROR_TAG;
	}
}

RESPONSECODE IFDHSetCapabilities(DWORD Lun, DWORD Tag, DWORD Length, PUCHAR Value)
{
	(void)Tag;
	(void)Length;
	(void)Value;
	return reader_of(Lun) == NULL ? IFD_NO_SUCH_DEVICE : IFD_NOT_SUPPORTED;
}

RESPONSECODE IFDHSetProtocolParameters(DWORD Lun, DWORD Protocol, UCHAR Flags, UCHAR PTS1,
	UCHAR PTS2, UCHAR PTS3)
{
	(void)Flags;
	(void)PTS1;
	(void)PTS2;
	(void)PTS3;
	if (reader_of(Lun) == NULL)
		return IFD_NO_SUCH_DEVICE;
	return Protocol == SCARD_PROTOCOL_T1 || Protocol == SCARD_PROTOCOL_T0
		? IFD_SUCCESS : IFD_PROTOCOL_NOT_SUPPORTED;
}

RESPONSECODE IFDHPowerICC(DWORD Lun, DWORD Action, PUCHAR Atr, PDWORD AtrLength)
{
	struct reader *r = reader_of(Lun);
	enum operation what;
	RESPONSECODE code;

	*AtrLength = 0;
	if (r == NULL)
		return IFD_NO_SUCH_DEVICE;
	switch (Action) {
	case IFD_POWER_UP:
		what = POWER_ON;
		break;
	case IFD_POWER_DOWN:
		what = POWER_OFF;
		break;
	case IFD_RESET:
		what = RESET;
		break;
	default:
		return IFD_NOT_SUPPORTED;
	}
	pthread_mutex_lock(&r->talk);
	r->atr_length = MAX_ATR_SIZE;
	code = exchange(r, what, NULL, 0, r->atr, &r->atr_length);
	if (code == IFD_SUCCESS) {
		memcpy(Atr, r->atr, r->atr_length);
		*AtrLength = r->atr_length;
	}
	pthread_mutex_unlock(&r->talk);
	return code == IFD_SUCCESS || what == POWER_OFF ? IFD_SUCCESS : IFD_ERROR_POWER_ACTION;
}

RESPONSECODE IFDHTransmitToICC(DWORD Lun, SCARD_IO_HEADER SendPci, PUCHAR TxBuffer,
	DWORD TxLength, PUCHAR RxBuffer, PDWORD RxLength, PSCARD_IO_HEADER RecvPci)
{
	struct reader *r = reader_of(Lun);
	RESPONSECODE code;

	(void)SendPci;
	if (r == NULL) {
		*RxLength = 0;
		return IFD_NO_SUCH_DEVICE;
	}
	pthread_mutex_lock(&r->talk);
	code = exchange(r, TRANSMIT, TxBuffer, TxLength, RxBuffer, RxLength);
	pthread_mutex_unlock(&r->talk);
	if (RecvPci != NULL)
		RecvPci->Protocol = 1; /* T=1 */
	return code;
}

RESPONSECODE IFDHControl(DWORD Lun, DWORD dwControlCode, PUCHAR TxBuffer, DWORD TxLength,
	PUCHAR RxBuffer, DWORD RxLength, LPDWORD pdwBytesReturned)
{
	(void)dwControlCode;
	(void)TxBuffer;
	(void)TxLength;
	(void)RxBuffer;
	(void)RxLength;
	if (pdwBytesReturned != NULL)
		*pdwBytesReturned = 0;
	return reader_of(Lun) == NULL ? IFD_NO_SUCH_DEVICE : IFD_ERROR_NOT_SUPPORTED;
}

RESPONSECODE IFDHICCPresence(DWORD Lun)
{
	struct reader *r = reader_of(Lun);
	int present;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL); /* what a watching thread calls first */
	if (r == NULL)
		return IFD_NO_SUCH_DEVICE;
	pthread_mutex_lock(&r->watch);
	if (r->events < 0)
		watch_events(r);
	present = r->present;
	pthread_mutex_unlock(&r->watch);
	return present ? IFD_ICC_PRESENT : IFD_ICC_NOT_PRESENT;
}
