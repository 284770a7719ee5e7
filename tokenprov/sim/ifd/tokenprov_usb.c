/*
 * The USB bus that the private pcscd sees: libudev's functions, as far as pcscd calls them, loaded
 * before the real ones (LD_PRELOAD). So virtual readers come and go as USB readers do, which pcscd
 * cannot do for the readers of a reader.conf, and the station's own bus stays out of sight.
 *
 * TOKENPROV_SIM_USB names a folder that the simulator keeps:
 *
 *     devices   one line a device: SYSNAME VENDOR PRODUCT DEVNODE (vendor and product in hex)
 *     monitor   a datagram socket, bound here: "add LINE" or "remove LINE", one a datagram; the
 *               simulator changes `devices` first
 *
 * A device is its own parent and its own only interface. Source: libudev(3) and its man pages.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { LINE = 512, FIELD = 160 };

struct udev {
	int monitor;
};
struct udev_list_entry {
	struct udev_list_entry *next;
	char name[FIELD];
};
struct udev_enumerate {
	struct udev_list_entry *first;
};
struct udev_device {
	char action[16], sysname[FIELD], vendor[8], product[8], devnode[FIELD];
};
struct udev_monitor {
	int fd;
};

static int folder_path(char *out, size_t size, const char *name)
{
	const char *folder = getenv("TOKENPROV_SIM_USB");
	int n = folder == NULL ? -1 : snprintf(out, size, "%s/%s", folder, name);
	return n < 0 || (size_t)n >= size ? -1 : 0;
}

static int parse(struct udev_device *device, const char *line)
{
	return sscanf(line, "%159s %7s %7s %159s", device->sysname, device->vendor,
		device->product, device->devnode) == 4 ? 0 : -1;
}

struct udev *udev_new(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct udev *udev = calloc(1, sizeof *udev);

	if (udev == NULL)
		return NULL;
	udev->monitor = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (udev->monitor < 0
	    || folder_path(address.sun_path, sizeof address.sun_path, "monitor") != 0
	    || bind(udev->monitor, (struct sockaddr *)&address, sizeof address) != 0) {
		if (udev->monitor >= 0)
			close(udev->monitor);
		free(udev);
		return NULL;
	}
	return udev;
}

struct udev *udev_unref(struct udev *udev)
{
	(void)udev; /* it lives as long as pcscd: its monitor is still in use */
	return NULL;
}

/* --- what is plugged in ------------------------------------------------------------------- */

static FILE *open_devices(void)
{
	char path[FIELD * 2];
	return folder_path(path, sizeof path, "devices") == 0 ? fopen(path, "re") : NULL;
}

struct udev_enumerate *udev_enumerate_new(struct udev *udev)
{
	(void)udev;
	return calloc(1, sizeof(struct udev_enumerate));
}

int udev_enumerate_add_match_subsystem(struct udev_enumerate *enumerate, const char *subsystem)
{
	(void)enumerate;
	(void)subsystem;
	return 0;
}

int udev_enumerate_scan_devices(struct udev_enumerate *enumerate)
{
	struct udev_list_entry **last = &enumerate->first;
	struct udev_device device;
	char line[LINE];
	FILE *devices = open_devices();

	if (devices == NULL)
		return -ENOENT;
	while (fgets(line, sizeof line, devices) != NULL) {
		if (parse(&device, line) != 0)
			continue;
		*last = calloc(1, sizeof **last);
		if (*last == NULL)
			break;
		memcpy((*last)->name, device.sysname, sizeof device.sysname);
		last = &(*last)->next;
	}
	fclose(devices);
	return 0;
}

struct udev_list_entry *udev_enumerate_get_list_entry(struct udev_enumerate *enumerate)
{
	return enumerate->first;
}

struct udev_list_entry *udev_list_entry_get_next(struct udev_list_entry *entry)
{
	return entry->next;
}

const char *udev_list_entry_get_name(struct udev_list_entry *entry)
{
	return entry->name;
}

struct udev_enumerate *udev_enumerate_unref(struct udev_enumerate *enumerate)
{
	while (enumerate->first != NULL) {
		struct udev_list_entry *entry = enumerate->first;
		enumerate->first = entry->next;
		free(entry);
	}
	free(enumerate);
	return NULL;
}

/* --- one device --------------------------------------------------------------------------- */

struct udev_device *udev_device_new_from_syspath(struct udev *udev, const char *syspath)
{
	struct udev_device *device = calloc(1, sizeof *device);
	FILE *devices = open_devices();
	char line[LINE];
	int found = 0;

	(void)udev;
	while (device != NULL && devices != NULL && !found
	       && fgets(line, sizeof line, devices) != NULL)
		found = parse(device, line) == 0 && strcmp(device->sysname, syspath) == 0;
	if (devices != NULL)
		fclose(devices);
	if (!found) {
		free(device);
		return NULL;
	}
	return device;
}

struct udev_device *udev_device_get_parent_with_subsystem_devtype(struct udev_device *device,
	const char *subsystem, const char *devtype)
{
	(void)subsystem;
	(void)devtype;
	return device;
}

const char *udev_device_get_devnode(struct udev_device *device)
{
	return device->devnode;
}

const char *udev_device_get_sysname(struct udev_device *device)
{
	return device->sysname;
}

const char *udev_device_get_action(struct udev_device *device)
{
	return device->action;
}

const char *udev_device_get_sysattr_value(struct udev_device *device, const char *name)
{
	if (strcmp(name, "idVendor") == 0)
		return device->vendor;
	if (strcmp(name, "idProduct") == 0)
		return device->product;
	if (strcmp(name, "bInterfaceNumber") == 0)
		return "00";
	return NULL;
}

struct udev_device *udev_device_unref(struct udev_device *device)
{
	free(device);
	return NULL;
}

/* --- what comes and goes ------------------------------------------------------------------ */

struct udev_monitor *udev_monitor_new_from_netlink(struct udev *udev, const char *name)
{
	struct udev_monitor *monitor = calloc(1, sizeof *monitor);
	(void)name;
	if (monitor != NULL)
		monitor->fd = udev->monitor;
	return monitor;
}

int udev_monitor_filter_add_match_subsystem_devtype(struct udev_monitor *monitor,
	const char *subsystem, const char *devtype)
{
	(void)monitor;
	(void)subsystem;
	(void)devtype;
	return 0;
}

int udev_monitor_enable_receiving(struct udev_monitor *monitor)
{
	(void)monitor;
	return 0;
}

int udev_monitor_get_fd(struct udev_monitor *monitor)
{
	return monitor->fd;
}

struct udev_device *udev_monitor_receive_device(struct udev_monitor *monitor)
{
	struct udev_device *device = calloc(1, sizeof *device);
	char line[LINE];
	int rest = 0;
	ssize_t n;

	if (device == NULL)
		return NULL;
	n = recv(monitor->fd, line, sizeof line - 1, 0);
	line[n > 0 ? n : 0] = '\0';
	if (sscanf(line, "%15s %n", device->action, &rest) != 1 || parse(device, line + rest) != 0) {
		free(device);
		return NULL;
	}
	return device;
}
